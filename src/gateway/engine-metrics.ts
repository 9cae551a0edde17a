import type { Replica } from './replicas.ts';

/** An engine's metrics are about 100 KiB; whatever answers in their place must not fill our memory. */
const MOST_BYTES = 4 * 1024 * 1024;
const DEADLINE_MS = 5000;

/**
 * The metrics of all engines in one exposition, each sample with the label `replica`: engines themselves let nobody in but the gateway.
 *
 * **Guarantees**: an engine that does not answer is left out; a family has its HELP and TYPE once.
 */
export async function engineMetrics(replicas: Iterable<Replica>): Promise<string> {
  const texts = await Promise.all(
    [...replicas].map(async (replica) => ({ id: replica.id, text: await readMetrics(replica) })),
  );
  return mergeExpositions(texts);
}

async function readMetrics({ connections }: Replica): Promise<string> {
  try {
    const { statusCode, body } = await connections.request({
      method: 'GET',
      path: '/metrics',
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    let text = '';
    body.setEncoding('utf8');
    for await (const chunk of body) {
      text += chunk as string;
      if (text.length > MOST_BYTES) return '';
    }
    return statusCode === 200 ? text : '';
  } catch {
    return '';
  }
}

/** Merges expositions in Prometheus' text format. A sample belongs to the family whose HELP or TYPE stands above it. */
export function mergeExpositions(texts: readonly { readonly id: string; readonly text: string }[]): string {
  const families = new Map<string, { head: string[]; samples: string[] }>();
  for (const { id, text } of texts) {
    let name = '';
    for (const line of text.split('\n')) {
      const comment = /^# (?:HELP|TYPE) (\S+)/.exec(line);
      if (comment) name = comment[1]!;
      else if (line === '' || line.startsWith('#')) continue;
      const family = families.get(name) ?? { head: [], samples: [] };
      families.set(name, family);
      if (!comment) family.samples.push(labelled(line, id));
      else if (!family.head.includes(line) && family.head.length < 2) family.head.push(line);
    }
  }
  return [...families.values()].flatMap(({ head, samples }) => [...head, ...samples, '']).join('\n');
}

/** Ids are UIDs or addresses: nothing in them has to be escaped. */
function labelled(sample: string, id: string): string {
  const brace = sample.indexOf('{');
  const space = sample.indexOf(' ');
  if (brace < 0 || brace > space) return `${sample.slice(0, space)}{replica="${id}"}${sample.slice(space)}`;
  const rest = sample.slice(brace + 1);
  return `${sample.slice(0, brace)}{replica="${id}"${rest.startsWith('}') ? '' : ','}${rest}`;
}
