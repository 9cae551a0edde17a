import { imageRun } from '../support/image.ts';
import type { Eye } from '../history/eye.ts';
import type { Cluster } from './cluster.ts';
import { OperatorProcess } from './operator-process.ts';
import { freePort } from './ports.ts';
import { eventually } from './world.ts';

interface Probe {
  readonly httpGet: { readonly path: string };
}

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly livenessProbe: Probe;
          readonly readinessProbe: Probe;
        }[];
      };
    };
  };
}

/** The operator as a pod of its Deployment runs it: with the Deployment's flags and its ServiceAccount's token. */
export class Deployed {
  readonly process: OperatorProcess;
  readonly #server: string;

  private constructor(process: OperatorProcess, server: string) {
    this.process = process;
    this.#server = server;
  }

  /** Resolves when every probe succeeds. `program` is what the image holds; an eye is on all that it does. */
  static async start(cluster: Cluster, eye: Eye, program: string, namespace: string, name: string): Promise<Deployed> {
    const { spec } = await cluster.api.call<Deployment>(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`);
    const { serviceAccountName, containers } = spec.template.spec;
    const { args, livenessProbe, readinessProbe } = containers[0]!;
    const [command, ...flags] = args;
    if (command !== 'operator') throw new Error(`the Deployment runs ${command}, not the operator`);
    const { kubeconfigPath } = await cluster.serviceAccountKubeconfig(namespace, serviceAccountName);
    const port = await freePort();
    const process = OperatorProcess.start({
      main: program,
      ...(await imageRun()),
      ...eye.on(kubeconfigPath),
      // The machine is shared: two pods have addresses of their own, two processes need ports of their own.
      flags: [...flags, `--http-port=${port}`],
    });
    const deployed = new Deployed(process, `http://127.0.0.1:${port}`);
    for (const { httpGet } of [livenessProbe, readinessProbe]) await eventually(() => deployed.#ok(httpGet.path));
    return deployed;
  }

  /** Resolves when it leads and has brought at least so many resources to where they should be. */
  async hasReconciled(resources: number): Promise<void> {
    await this.process.leads();
    await eventually(async () => {
      const count = /^controller_runtime_reconcile_total\{.*result="success"\} (\d+)/m.exec(
        await this.#ok('/metrics'),
      )?.[1];
      if (Number(count) < resources) throw new Error(`${count} reconciles have succeeded, not ${resources}`);
    });
  }

  async #ok(path: string): Promise<string> {
    const answer = await fetch(this.#server + path);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return text;
  }
}
