import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { systemClock } from '../../src/runtime/clock.ts';
import type { Program, ProgramContext } from './kubelet/program.ts';
import type { Exit } from './vllm/process.ts';

const MAIN = new URL('gateway-main.ts', import.meta.url).pathname;

/**
 * The gateway of the operator's image: a process of its own that listens at the pod's address and reads the pod's files. It runs in real
 * time, whatever the pods' clock says.
 */
export function gateway(context: ProgramContext): Program {
  const { args, env, hostPath, podAddress, nameServer, compileCache, write } = context;
  const paths = new Map<string, string>();
  const located = args.slice(1).map((arg) => {
    const [flag, path] = arg.split('=', 2) as [string, string | undefined];
    const onHost = path?.startsWith('/') ? hostPath(path) : undefined;
    if (onHost === undefined) return arg;
    paths.set(onHost, path!);
    return `${flag}=${onHost}`;
  });
  const child = fork(MAIN, [nameServer, ...located, `--host=${podAddress}`], {
    silent: true,
    execArgv: [],
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compileCache, ...env },
  });
  /** As in the container, where files have other names. */
  const asInside = (line: string): string => {
    for (const [onHost, inside] of paths) line = line.replaceAll(onHost, inside);
    return line;
  };
  const forward = (stream: 'stdout' | 'stderr', lines: Readable): Promise<unknown> => {
    const reader = createInterface({ input: lines });
    reader.on('line', (line) => write(stream, asInside(line)));
    return once(reader, 'close');
  };
  const said = Promise.all([forward('stdout', child.stdout!), forward('stderr', child.stderr!)]);
  const exited = Promise.all([once(child, 'exit'), said]).then(([[code, signal]]): Exit => {
    if (signal === 'SIGKILL') return { exitCode: 137, signal: 'SIGKILL' };
    return { exitCode: (code as number | null) ?? 1 };
  });
  return { exited, clock: systemClock, signal: (name) => void child.kill(name) };
}
