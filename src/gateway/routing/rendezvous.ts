import { type BlockHash, scramble } from './block-hashes.ts';

/** What a replica's name adds to every hash that it is weighed by. */
export function saltOf(id: string): number {
  let salt = 0x3c6ef372;
  for (let at = 0; at < id.length; at += 1) salt = Math.imul(salt ^ id.charCodeAt(at), 0x9e3779b1) ^ (salt >>> 13);
  return scramble(salt);
}

/** How strongly a prefix is drawn to a replica: a number in [0, 2^32) that depends on these two alone. */
export const attraction = (block: BlockHash, salt: number): number =>
  scramble(scramble((block % 2 ** 32) ^ salt) ^ Math.floor(block / 2 ** 32));

/**
 * The `count` replicas that a prefix is drawn to most, strongest first (rendezvous hashing).
 *
 * **Guarantees**: all who know the same replicas answer the same, in whatever order they know them; with one more replica the answer
 * gains that one or nothing; fewer are a beginning of more.
 */
export function strongest<R extends { readonly salt: number }>(
  block: BlockHash,
  replicas: readonly R[],
  count: number,
): R[] {
  const drawn = replicas.map((replica) => ({ replica, by: attraction(block, replica.salt) }));
  drawn.sort((one, other) => other.by - one.by || one.replica.salt - other.replica.salt);
  return drawn.slice(0, count).map(({ replica }) => replica);
}
