/** What tells one installation from another. In the Helm chart these are template expressions. */
export interface Identity {
  /** Of every object, and of the Lease. */
  readonly name: string;
  readonly namespace: string;
}

/** Selects the operator's pods. */
export const selector = ({ name }: Identity): Record<string, string> => ({
  'app.kubernetes.io/name': 'qwen-coder-operator',
  'app.kubernetes.io/instance': name,
});
