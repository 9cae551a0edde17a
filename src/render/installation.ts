/** The operator's own place in the cluster, as far as children depend on it. */
export interface Installation {
  /** Its namespace: from there its pods reach gateways and engines. */
  readonly namespace: string;
  /** Its own image, which gateways run too. */
  readonly image: string;
  /** What keys between operator, gateways and engines are derived from. Never shown. */
  readonly secret: string;
}
