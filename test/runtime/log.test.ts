import { describe, expect, test } from 'vitest';
import { RetryError } from '../../src/errors.ts';
import { jsonLog, type LogOptions } from '../../src/runtime/log.ts';

function collect(options: LogOptions = {}) {
  const lines: string[] = [];
  const log = jsonLog({ ...options, destination: { write: (line: string) => lines.push(line) } });
  const entries = () =>
    lines.map((line) => {
      const { time: _time, ...entry } = JSON.parse(line) as Record<string, unknown>;
      return entry;
    });
  return { log, lines, entries };
}

describe('jsonLog', () => {
  test('writes one line of JSON an entry, with level, time, fields and message', () => {
    const { log, lines } = collect();
    log.info('replica started', { slot: 0, node: 'gpu-1' });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^\{"level":"info","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","slot":0,"node":"gpu-1","msg":"replica started"\}\n$/,
    );
  });

  test('lines below the level are dropped', () => {
    const { log, entries } = collect({ level: 'warn' });
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    expect(entries()).toEqual([
      { level: 'warn', msg: 'c' },
      { level: 'error', msg: 'd' },
    ]);
  });

  test('children carry their fields on every line', () => {
    const { log, entries } = collect();
    log.child({ controller: 'coder' }).child({ reconcileId: 'r-1' }).info('looking', { key: 'team-a/coder' });
    expect(entries()).toEqual([
      { level: 'info', controller: 'coder', reconcileId: 'r-1', key: 'team-a/coder', msg: 'looking' },
    ]);
  });

  test('an error with a code shows what happened and why, without a stack', () => {
    const { log, entries } = collect();
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    log.warn('reconcile failed', { error: new RetryError('ServerAway', 'no answer', { cause }) });
    expect(entries()).toEqual([
      {
        level: 'warn',
        msg: 'reconcile failed',
        error: {
          name: 'RetryError',
          code: 'ServerAway',
          message: 'no answer',
          cause: { name: 'Error', code: 'ECONNREFUSED', message: 'connect ECONNREFUSED' },
        },
      },
    ]);
  });

  test('an error without a code is a bug and shows its stack', () => {
    const { log, entries } = collect();
    log.warn('reconcile failed', { error: new TypeError('x is undefined') });
    expect(entries()[0]!['error']).toMatchObject({
      name: 'TypeError',
      message: 'x is undefined',
      stack: expect.stringContaining('log.test.ts'),
    });
  });

  test.each([
    { name: 'a header', fields: { headers: { Authorization: 'Bearer canary-canary' } } },
    { name: 'a token', fields: { token: 'canary-canary' } },
    { name: 'a key with a prefix', fields: { HF_TOKEN: 'canary-canary' } },
    { name: 'an API key', fields: { apiKey: 'canary-canary', 'api-key': 'canary-canary' } },
    { name: 'a whole object of secrets', fields: { credentials: { user: 'me', pass: 'canary-canary' } } },
    { name: 'a secret deep inside', fields: { a: [{ b: { c: { password: 'canary-canary' } } }] } },
    { name: 'a bearer credential within a text', fields: { args: ['--header=Authorization: Bearer canary-canary'] } },
    { name: 'a Hugging Face token within a text', fields: { url: 'https://example.test?x=hf_canarycanarycanary' } },
    { name: 'a JSON web token', fields: { text: 'got eyJcanarycanary.canary.canary' } },
    {
      name: 'a private key',
      fields: { pem: '-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----' },
    },
    { name: 'the message of an error', fields: { error: new Error('refused: Bearer canary-canary') } },
    {
      name: 'the cause of an error',
      fields: { error: new Error('no', { cause: new Error('hf_canarycanarycanary') }) },
    },
  ])('no secret reaches a line: $name', ({ fields }) => {
    const { log, lines } = collect();
    log.error('failed', fields);
    log.child(fields).error('failed');
    expect(lines.join('')).not.toContain('canary');
    expect(lines.join('')).toContain('[redacted]');
  });

  test.each(['debug', 'info', 'warn', 'error'] as const)('no secret reaches a line: the message, at %s', (level) => {
    const { log, entries } = collect({ level });
    log[level]('the hub refused hf_canarycanarycanary', { token: 'canary' });
    expect(entries()).toEqual([{ level, token: '[redacted]', msg: 'the hub refused [redacted]' }]);
  });

  test('names that only point to a secret stay readable', () => {
    const { log, entries } = collect();
    const fields = { secretName: 'coder-api-key', secretRef: { name: 'hub' }, tokens: 4096, token: undefined };
    log.info('using', fields);
    expect(entries()).toEqual([
      { level: 'info', msg: 'using', secretName: 'coder-api-key', secretRef: { name: 'hub' }, tokens: 4096 },
    ]);
  });

  test('values that JSON cannot hold do not fail the line', () => {
    const { log, entries } = collect();
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    log.info('odd', { circle, big: 10n, when: new Date(0), many: Array.from({ length: 1_000 }, (_, i) => i) });
    expect(entries()[0]).toMatchObject({ big: '10', when: '1970-01-01T00:00:00.000Z', many: { length: 100 } });
  });
});
