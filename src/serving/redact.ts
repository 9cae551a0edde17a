/** Shorter values are words and numbers that stand in every log; no secret is that short. */
const SHORTEST_SECRET = 4;

const HIDDEN = '***';

/** Texts that are secrets wherever they stand. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\bhf_[A-Za-z0-9]{4,}/g, HIDDEN],
  [/\bsk-[A-Za-z0-9_-]{8,}/g, HIDDEN],
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]+/g, HIDDEN],
  [/\b(Bearer|Basic)\s+[^\s'",]+/gi, `$1 ${HIDDEN}`],
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^/\s@'"]+@/gi, `$1${HIDDEN}@`],
  // --api-key x, api_key=x, 'api_key': ['x'], HF_TOKEN=x, ?token=x; not "tokens per request" or "model's KV keys".
  [
    /((?:^|[^a-z])[\w-]*(?:api[_-]?key|token|secret|password|credential)['"]?\s*[=:]\s*\[?['"]?)[^\s'",\])&]+/gi,
    `$1${HIDDEN}`,
  ],
  [/(--api-key[= ])\S+/g, `$1${HIDDEN}`],
];

/**
 * A text without secrets: none of `values`, plain or in base64, no token of a known form, no credentials in an address.
 *
 * @param values Values of the pod's variables. Those of under four characters are words of every log and stay.
 */
export function redact(text: string, values: readonly string[] = []): string {
  let clean = text;
  // Longest first: a value may be part of another.
  const known = values
    .flatMap((value) => [value, ...value.split('\n')])
    .filter((value) => value.trim().length >= SHORTEST_SECRET)
    .sort((a, b) => b.length - a.length);
  for (const value of known) clean = clean.replaceAll(value, HIDDEN).replaceAll(base64(value), HIDDEN);
  for (const [pattern, replacement] of SECRETS) clean = clean.replaceAll(pattern, replacement);
  return clean;
}

const base64 = (text: string): string => btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
