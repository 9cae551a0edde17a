import type { Clock } from '../../../src/runtime/clock.ts';
import { type Exit, VllmProcess } from '../vllm/process.ts';
import { imageVersion } from '../vllm/version.ts';
import { gateway } from '../gateway-program.ts';
import { networkProbe } from '../network-probe-program.ts';
import { fetchWeights } from '../weights-job.ts';
import { type Program, type ProgramContext, scriptName, scriptOption } from './program.ts';

/** Runs a container: vLLM, the operator's two scripts by name, its gateway and its probe, a few shell words; anything else stays up and does nothing. */
export function startProgram(context: ProgramContext): Program {
  const { command, args, image, clock } = context;
  const words = [...command, ...args];
  const script = scriptName(words);
  if (script?.name === 'fetch-weights') return fetchWeights(context, script.args);
  if (script?.name === 'wait-for-idle') return timed(clock, 0);
  if (command.length === 0 && isVllm(image)) return vllm(context, args);
  if (command.length === 0 && args[0] === 'gateway') return gateway(context);
  if (command.length === 0 && args[0] === 'network-probe') return networkProbe(context);
  if (words[0] === 'vllm' && words[1] === 'serve') return vllm(context, words.slice(2));
  const shell = shellWords(words);
  const name = shell[0]?.split('/').at(-1);
  if (name === 'true') return timed(clock, 0);
  if (name === 'false') return timed(clock, 0, 1);
  if (name === 'exit') return timed(clock, 0, Number(shell[1] ?? 0));
  if (name === 'sleep' && Number.isFinite(Number(shell[1]))) return timed(clock, Number(shell[1]) * 1000);
  return timed(clock, undefined);
}

/** The words of `sh -c '…'`, or the command itself. */
const shellWords = (words: readonly string[]): readonly string[] =>
  /^(?:\/bin\/)?(?:ba)?sh$/.test(words[0] ?? '') && words[1] === '-c' ? (words[2] ?? '').trim().split(/\s+/) : words;

const isVllm = (image: string): boolean => /vllm/.test(image.split('@')[0]!);

function vllm(context: ProgramContext, args: readonly string[]): Program {
  return new VllmProcess({
    clock: context.clock,
    version: imageVersion(context.image) ?? context.defaultVersion,
    args,
    env: context.env,
    gpus: context.gpus,
    hostPath: context.hostPath,
    podAddress: context.podAddress,
    write: context.write,
    fault: context.fault,
    ...context.engine,
  });
}

/** Ends by itself after a time, or only when told to. */
function timed(clock: Clock, ms: number | undefined, exitCode = 0): Program {
  const { promise, resolve } = Promise.withResolvers<Exit>();
  const cancel = ms === undefined ? () => {} : clock.schedule(ms, () => resolve({ exitCode }));
  return {
    exited: promise,
    signal(name) {
      cancel();
      resolve(name === 'SIGKILL' ? { exitCode: 137, signal: 'SIGKILL' } : { exitCode: ms === undefined ? 0 : 143 });
    },
  };
}

/** What a command runs in. */
export interface ExecContext {
  readonly clock: Clock;
  readonly podAddress: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Probes and hooks: what a command in a running container ends with. Unknown commands succeed at once. */
export async function execute(
  command: readonly string[],
  program: Program,
  context: ExecContext,
  signal: AbortSignal,
): Promise<number> {
  const script = scriptName(command);
  if (script?.name === 'wait-for-idle') return waitForIdle(script.args, program, context, signal);
  const shell = shellWords(command);
  const name = shell[0]?.split('/').at(-1);
  if (name === 'sleep') await context.clock.sleep(Number(shell[1] ?? 0) * 1000, signal);
  if (name === 'exit') return Number(shell[1] ?? 0);
  return name === 'false' ? 1 : 0;
}

/**
 * The operator's preStop script: asks the engine's own metrics until nothing runs or waits, or the time is up. It asks at `--host`, or
 * at POD_IP where it has no such argument.
 */
async function waitForIdle(
  args: readonly string[],
  program: Program,
  { clock, podAddress, env }: ExecContext,
  signal: AbortSignal,
): Promise<number> {
  const seconds = Number(scriptOption(args, 'seconds'));
  const host = scriptOption(args, 'host') ?? env['POD_IP'] ?? '127.0.0.1';
  const port = Number(scriptOption(args, 'port'));
  if (!Number.isFinite(seconds) || !Number.isFinite(port)) return 2;
  const deadline = clock.monotonic() + seconds * 1000;
  await clock.sleep(Math.min(3, seconds) * 1000, signal);
  while (clock.monotonic() < deadline) {
    // A name that does not resolve is no refusal: the script goes on until its deadline. The kubelet expands nothing in hooks.
    if (['127.0.0.1', 'localhost', podAddress].includes(host)) {
      const engine = program instanceof VllmProcess && program.isReachableAt(host, port) ? program.engine : undefined;
      if (!engine || engine.load.running + engine.load.waiting === 0) return 0;
    }
    await clock.sleep(1000, signal);
  }
  return 0;
}
