import { createServer } from 'node:http';

/**
 * An engine without a model, as a process of its own: the first argument is its port.
 *
 * A stream gets as many events as `max_tokens` says, one each `pace` milliseconds; 0 sends them as fast as they are taken. Anything else
 * gets an answer of about 1 KiB.
 */
const [port = '0'] = process.argv.slice(2);

const answer = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-0',
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: 'x'.repeat(700) }, finish_reason: 'stop' }],
    usage: {
      prompt_tokens: 200,
      total_tokens: 400,
      completion_tokens: 200,
      prompt_tokens_details: { cached_tokens: 0 },
    },
  }),
);
const event = Buffer.from(
  `data: ${JSON.stringify({
    id: 'chatcmpl-0123456789abcdef0123456789abcdef',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'coder',
    choices: [{ index: 0, delta: { content: ' token' }, logprobs: null, finish_reason: null }],
  })}\n\n`,
);
const last = Buffer.from(
  'data: {"id":"a","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":9,"total_tokens":19,"completion_tokens":10}}\n\ndata: [DONE]\n\n',
);

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    if (request.method === 'GET') {
      response.end('ok');
      return;
    }
    const body = Buffer.concat(chunks).toString();
    if (!body.includes('"stream":true')) {
      response
        .writeHead(200, ['content-type', 'application/json', 'content-length', String(answer.length)])
        .end(answer);
      return;
    }
    const events = Number(/"max_tokens":(\d+)/.exec(body)?.[1] ?? 10);
    const pace = Number(/"pace":(\d+)/.exec(body)?.[1] ?? 0);
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    let sent = 0;
    const send = (): void => {
      if (response.destroyed) return;
      if (sent >= events) {
        response.end(last);
        return;
      }
      sent += 1;
      const hasRoom = response.write(event);
      if (pace > 0) setTimeout(send, pace);
      else if (hasRoom) setImmediate(send);
      else response.once('drain', send);
    };
    send();
  });
});
server.keepAliveTimeout = 60_000;
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
