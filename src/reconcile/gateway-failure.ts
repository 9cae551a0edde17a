import { apiKeysRef, certificateOf } from '../render/index.ts';
import { type Diagnosis, asSentence, diagnoseRefusal, quotable, rejectionRemedy } from '../serving/index.ts';
import { type Facts, type PodFacts, isFailing, isServing, isTerminating } from './facts.ts';
import { lastWords } from './projections.ts';

/** Why no gateway answers, and what to do about it. */
export type GatewayFailure = Pick<Diagnosis, 'evidence' | 'remedy'>;

/**
 * Why no gateway answers, by the first pod that tells; undefined while one does, or nothing says that something is wrong.
 *
 * @param secrets Values that must not be quoted.
 */
export function gatewayFailure(
  { owner, gateway, spec }: Pick<Facts, 'owner' | 'gateway' | 'spec'>,
  secrets: readonly string[],
): GatewayFailure | undefined {
  if (gateway.pods.some(isServing)) return undefined;
  if (gateway.refusal !== undefined) {
    const { evidence } = diagnoseRefusal(gateway.refusal, secrets);
    return { evidence: `their pods are refused: ${evidence}`, remedy: rejectionRemedy(evidence) };
  }
  const alive = gateway.pods.filter((pod) => !isTerminating(pod));
  const unplaced = alive.find((pod) => pod.unschedulable !== undefined);
  if (unplaced)
    return {
      evidence: quotable(`pod ${unplaced.metadata.name} finds no node: ${unplaced.unschedulable}`, secrets),
      remedy: 'Gateways need no GPU; spec.placement.tolerations counts for them too.',
    };
  const failing = alive.find(isFailing);
  if (!failing) return undefined;
  const words = wordsOf(failing, secrets);
  return { evidence: `pod ${failing.metadata.name}: ${words}`, remedy: remedyOf(words, failing, { owner, spec }) };
}

function wordsOf({ container, failure }: PodFacts, secrets: readonly string[]): string {
  const said = failure ?? container?.waiting;
  if (said !== undefined) return quotable(`${said.reason}: ${said.message}`, secrets);
  return lastWords(container!, secrets) ?? 'it ended';
}

function remedyOf(words: string, { container }: PodFacts, { owner, spec }: Pick<Facts, 'owner' | 'spec'>): string {
  const what = words.includes('there is no such file') ? 'Create' : 'Correct';
  const again = 'gateways take it up by themselves.';
  const keys = spec.endpoint.authentication.secretRef === undefined ? undefined : apiKeysRef(owner.name, spec);
  if (keys && words.includes('--api-keys-file'))
    return `${what} key ${keys.key} of Secret ${keys.name} in the namespace of the resource, one API key a line as "name: key", or correct spec.endpoint.authentication.secretRef; ${again}`;
  const certificate = certificateOf(spec);
  if (certificate !== undefined && /--tls-(cert|key)-file/.test(words))
    return `${what} Secret ${certificate} in the namespace of the resource, of type kubernetes.io/tls with tls.crt and tls.key, or correct spec.endpoint.expose.tlsSecretName; ${again}`;
  if (/Image/.test(container?.waiting?.reason ?? ''))
    return "Gateways run the operator's own image: let the nodes pull it, with spec.imagePullSecrets where the registry asks for credentials.";
  return 'Read kubectl logs --previous of the pod.';
}

/** As a condition says it, after how many gateways there are. */
export const gatewayFailureText = (counted: string, { evidence, remedy }: GatewayFailure): string =>
  `${counted}; ${asSentence(evidence)} ${remedy}`;
