import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** What the API server says to an object. */
export interface Verdict {
  /** As it would be stored: pruned, defaults filled in. */
  readonly object?: Readonly<Record<string, unknown>>;
  /** Fields that strict field validation refuses and everything else drops. */
  readonly unknown: readonly string[];
  /** Why it is not accepted; empty when it is. */
  readonly errors: readonly { readonly field: string; readonly message: string }[];
}

const MODULE = fileURLToPath(new URL('.', import.meta.url));
const SOURCES = ['go.mod', 'go.sum', 'main.go'];

/** The program, built once for its sources and Go version and kept in the user's cache. */
async function buildOnce(): Promise<string> {
  const run = promisify(execFile);
  const go = await run('go', ['env', 'GOVERSION'], { cwd: MODULE }).catch((cause: unknown) => {
    throw new Error('the schema judge needs Go: install Go 1.26 or newer', { cause });
  });
  const digest = createHash('sha256').update(go.stdout);
  for (const source of SOURCES) digest.update(readFileSync(join(MODULE, source)));
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'qwen-coder-operator');
  const directory = join(cache, `schema-judge-${digest.digest('hex').slice(0, 16)}`);
  const program = join(directory, 'schema-judge');
  if (existsSync(program)) return program;

  process.stderr.write('building the schema judge from the API server’s own code (Go, some minutes, once) …\n');
  mkdirSync(directory, { recursive: true });
  // Built under a name of its own, so that whoever builds at the same time does no harm.
  const fresh = `${program}-${randomUUID()}`;
  await run('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', fresh, '.'], {
    cwd: MODULE,
    maxBuffer: 2 ** 26,
    timeout: 1_200_000,
  });
  renameSync(fresh, program);
  return program;
}

/** A running judge over one CRD. */
export class SchemaJudge implements AsyncDisposable {
  /** What the API server says to the CRD itself. */
  readonly crd: Verdict;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  readonly #directory: string;

  private constructor(
    crd: Verdict,
    process: ChildProcessWithoutNullStreams,
    answers: AsyncIterator<string>,
    directory: string,
  ) {
    this.crd = crd;
    this.#process = process;
    this.#answers = answers;
    this.#directory = directory;
  }

  static async start(crd: unknown): Promise<SchemaJudge> {
    const program = await buildOnce();
    const directory = join(tmpdir(), `schema-judge-${randomUUID()}`);
    mkdirSync(directory);
    writeFileSync(join(directory, 'crd.json'), JSON.stringify(crd));
    const process = spawn(program, [join(directory, 'crd.json')], { stdio: 'pipe' });
    let said = '';
    process.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const answers = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
    const first = await answers.next();
    if (first.done === true) throw new Error(`the schema judge ended without an answer: ${said}`);
    return new SchemaJudge(JSON.parse(first.value) as Verdict, process, answers, directory);
  }

  /** The verdict on one object, created with strict field validation. Ask one at a time. */
  async about(object: unknown): Promise<Verdict> {
    this.#process.stdin.write(`${JSON.stringify(object)}\n`);
    const answer = await this.#answers.next();
    if (answer.done === true) throw new Error('the schema judge ended');
    return JSON.parse(answer.value) as Verdict;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await new Promise<void>((resolve) => {
      if (this.#process.exitCode === null) this.#process.once('exit', () => resolve());
      else resolve();
    });
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
