import { createPrivateKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Certificate } from './endpoint-server.ts';

/** **Fails when** the text is no chain of certificates, as PEM, that a server can use. */
export function usableChain(cert: string): string {
  // An empty one would be taken for a server that has none, and no client would get through.
  attempt('it holds no certificate, as PEM, that a server can use', () => createSecureContext({ cert: cert || '\n' }));
  return cert;
}

/** **Fails when** the key of a usable chain is none, or another's. The message quotes nothing of it. */
export function usableCertificate(cert: string, key: string): Certificate {
  attempt('it holds no private key, as PEM and without a passphrase', () => createPrivateKey(key));
  attempt('it does not fit the certificate', () => createSecureContext({ cert, key }));
  return { cert, key };
}

function attempt(fault: string, use: () => unknown): void {
  try {
    use();
  } catch (error) {
    // OpenSSL's reason is a phrase: "no start line".
    const { reason, message } = error as Error & { readonly reason?: string };
    throw new Error(`${fault} (${reason ?? message})`, { cause: error });
  }
}
