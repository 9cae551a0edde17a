import type { Clock } from '../../../src/runtime/clock.ts';
import type { Gpus } from '../vllm/memory.ts';
import type { Fault } from '../vllm/faults.ts';
import type { Exit, VllmProcessOptions } from '../vllm/process.ts';

/** What runs in a container. */
export interface Program {
  readonly exited: Promise<Exit>;
  /** The time that it runs in, where that is not the pods': a clock that runs ahead of it must not kill it. */
  readonly clock?: Clock;
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
}

/** A container about to start. */
export interface ProgramContext {
  readonly clock: Clock;
  readonly image: string;
  /** Replaces the image's entrypoint when not empty. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly gpus: Gpus | undefined;
  readonly hostPath: (containerPath: string, write?: boolean) => string | undefined;
  readonly podAddress: string;
  readonly write: (stream: 'stdout' | 'stderr', line: string) => void;
  /** Writes `/dev/termination-log`. */
  readonly terminationMessage: (text: string) => void;
  readonly fault: Fault | undefined;
  readonly engine: Pick<
    VllmProcessOptions,
    'loadSeconds' | 'hiddenOverheadGiB' | 'speed' | 'crashAfterSeconds' | 'answer'
  >;
  /** Where containers without HF_ENDPOINT find the hub. */
  readonly hubUrl: string;
  /** Where a process of the pod's namespace resolves names of Services: `GET <nameServer>/<service>`. */
  readonly nameServer: string;
  /** Whether network rules of the pod let it talk to anybody. */
  readonly mayTalk: boolean;
  /** Folder in which Node keeps what it compiled. */
  readonly compileCache: string;
  /** vLLM of images whose tag names no version. */
  readonly defaultVersion: string;
}

/** The operator's scripts are inline Python whose first argument is their name. */
export function scriptName(
  words: readonly string[],
): { readonly name: string; readonly args: readonly string[] } | undefined {
  if (!/^(.*\/)?python3?$/.test(words[0] ?? '') || words[1] !== '-c' || words[3] === undefined) return undefined;
  return { name: words[3], args: words.slice(4) };
}

/** `--name=value` or `--name value`. */
export function scriptOption(args: readonly string[], name: string): string | undefined {
  const index = args.findIndex((arg) => arg === `--${name}` || arg.startsWith(`--${name}=`));
  if (index === -1) return undefined;
  const arg = args[index]!;
  return arg.includes('=') ? arg.slice(arg.indexOf('=') + 1) : args[index + 1];
}
