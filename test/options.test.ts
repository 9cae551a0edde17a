import { describe, expect, test } from 'vitest';
import { Options, UsageError, flagsHelp, operatorOptions, planOptions, wantsNoColor } from '../src/options.ts';

describe('operatorOptions', () => {
  test('without flags every option has its default', () => {
    expect(operatorOptions([], {})).toMatchObject({
      'http-port': 8080,
      workers: 8,
      'requests-per-second': 200,
      burst: 400,
      'log-level': 'info',
    });
  });

  test('a flag wins over the environment, the environment over the default', () => {
    const environment = { QWEN_CODER_WORKERS: '4', QWEN_CODER_LOG_LEVEL: 'warn' };
    expect(operatorOptions(['--workers', '2'], environment)).toMatchObject({ workers: 2, 'log-level': 'warn' });
  });

  test('namespaces are a list', () => {
    expect(operatorOptions(['--namespaces', 'team-a, team-b'], {}).namespaces).toEqual(['team-a', 'team-b']);
  });

  test.each([
    { name: 'an unknown flag', args: ['--worker', '2'], message: /--worker/ },
    { name: 'a value out of range', args: ['--workers', '0'], message: /--workers/ },
    { name: 'a value of another type', args: ['--http-port', 'http'], message: /--http-port/ },
    { name: 'every wrong flag at once', args: ['--workers', '0', '--burst', 'x'], message: /--workers[^]*--burst/ },
  ])('$name is an error that names it', ({ args, message }) => {
    expect(() => operatorOptions(args, {})).toThrow(UsageError);
    expect(() => operatorOptions(args, {})).toThrow(message);
  });

  test('help names every flag', () => {
    for (const name of ['kubeconfig', 'namespaces', 'workers', 'log-level'])
      expect(flagsHelp(Options)).toContain(`--${name}`);
  });
});

describe('planOptions', () => {
  test('takes the short flags of kubectl, and several files', () => {
    const given = planOptions(['-f', 'a.yaml', '--file', 'b.yaml', '-n', 'team-a', '-o', 'json']);
    expect(given).toMatchObject({ file: ['a.yaml', 'b.yaml'], namespace: 'team-a', output: 'json' });
  });

  test('colours are wanted unless NO_COLOR is set to something', () => {
    expect([{}, { NO_COLOR: '' }, { NO_COLOR: '1' }].map(wantsNoColor)).toEqual([false, false, true]);
  });
});
