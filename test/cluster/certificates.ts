import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** A certificate and its key as PEM. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority extends Certificate {
  /** A serving certificate for these names and IPv4 addresses, signed by this authority. */
  issue(commonName: string, names: readonly string[], addresses: readonly string[]): Certificate;
}

// Node can read X.509 but not write it, and an openssl program may not be there. What a loopback cluster needs of X.509
// is small: ECDSA P-256, a common name, and four extensions (RFC 5280).

/** A certificate authority that lives as long as the cluster. */
export function makeAuthority(commonName: string): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = certify({
    issuer: commonName,
    issuerKey: privateKey,
    subject: commonName,
    subjectKey: publicKey,
    extensions: [
      extension(oid.basicConstraints, true, sequence(boolean(true))),
      extension(oid.keyUsage, true, bits([0b10000110], 1)), // digitalSignature, keyCertSign, cRLSign
    ],
  });
  return {
    certificate,
    key: pkcs8(privateKey),
    issue(subject, names, addresses) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const alternatives = [
        ...names.map((name) => tlv(0x82, Buffer.from(name, 'ascii'))),
        ...addresses.map((address) => tlv(0x87, Buffer.from(address.split('.').map(Number)))),
      ];
      return {
        certificate: certify({
          issuer: commonName,
          issuerKey: privateKey,
          subject,
          subjectKey: pair.publicKey,
          extensions: [
            extension(oid.keyUsage, true, bits([0b10000000], 7)), // digitalSignature
            extension(oid.extendedKeyUsage, false, sequence(objectId(oid.serverAuth), objectId(oid.clientAuth))),
            extension(oid.subjectAlternativeName, false, sequence(...alternatives)),
          ],
        }),
        key: pkcs8(pair.privateKey),
      };
    },
  };
}

interface Contents {
  readonly issuer: string;
  readonly issuerKey: KeyObject;
  readonly subject: string;
  readonly subjectKey: KeyObject;
  readonly extensions: readonly Buffer[];
}

const dayMs = 86_400_000;

function certify({ issuer, issuerKey, subject, subjectKey, extensions }: Contents): string {
  const algorithm = sequence(objectId(oid.ecdsaWithSha256));
  const toBeSigned = sequence(
    tlv(0xa0, integer(Buffer.from([2]))), // v3
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name(issuer),
    // Yesterday, because the clocks of tests may jump.
    sequence(time(Date.now() - dayMs), time(Date.now() + 3650 * dayMs)),
    name(subject),
    subjectKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', toBeSigned, issuerKey);
  const der = sequence(toBeSigned, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  return pem('CERTIFICATE', der);
}

/** The public half of a PEM private key, as PEM. */
export function publicHalf(privateKeyPem: string): string {
  return createPublicKey(privateKeyPem).export({ type: 'spki', format: 'pem' }) as string;
}

/** A fresh ECDSA P-256 private key as PEM. */
export function makePrivateKey(): string {
  return pkcs8(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

const oid = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  subjectAlternativeName: '2.5.29.17',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

function tlv(tag: number, content: Buffer): Buffer {
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length, ...length]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function integer(value: Buffer): Buffer {
  return tlv(0x02, value);
}

function boolean(value: boolean): Buffer {
  return tlv(0x01, Buffer.from([value ? 0xff : 0]));
}

function bits(octets: readonly number[], unused: number): Buffer {
  return tlv(0x03, Buffer.from([unused, ...octets]));
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let high = part >> 7; high > 0; high >>= 7) groups.unshift((high & 0x7f) | 0x80);
    octets.push(...groups);
  }
  return tlv(0x06, Buffer.from(octets));
}

function name(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(objectId(oid.commonName), tlv(0x0c, Buffer.from(commonName)))));
}

function time(ms: number): Buffer {
  // UTCTime ends in 2049; "20261123190000Z" without the century.
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return tlv(0x17, Buffer.from(digits.slice(2), 'ascii'));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  const parts = [objectId(id)];
  if (critical) parts.push(boolean(true));
  return sequence(...parts, tlv(0x04, value));
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
