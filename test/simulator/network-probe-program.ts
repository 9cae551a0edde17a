import { byTcp, getsOut } from '../../src/network-probe.ts';
import { networkProbeTarget } from '../../src/options.ts';
import { GOT_OUT } from '../../src/render/network-probe.ts';
import type { Program, ProgramContext } from './kubelet/program.ts';
import type { Exit } from './vllm/process.ts';

/** The operator's network probe: it connects to the API server for real, unless rules of the pod keep it from talking to anybody. */
export function networkProbe({ args, env, clock, mayTalk, write }: ProgramContext): Program {
  const { promise, resolve } = Promise.withResolvers<Exit>();
  const target = networkProbeTarget(args.slice(1), env);
  const refused = (): Promise<void> => Promise.reject(new Error('a rule drops it'));
  void getsOut(mayTalk ? byTcp(target) : refused, clock).then((isOut) => {
    write('stdout', isOut ? 'was reached' : 'cannot be reached');
    resolve({ exitCode: isOut ? GOT_OUT : 0 });
  });
  return {
    exited: promise,
    signal: (name) => resolve(name === 'SIGKILL' ? { exitCode: 137, signal: 'SIGKILL' } : { exitCode: 143 }),
  };
}
