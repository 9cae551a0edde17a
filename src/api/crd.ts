import { RULES } from './rule.ts';
import { Status } from './status.ts';
import { structuralSchema, type StructuralSchema } from './structural.ts';
import { GROUP, KIND, PLURAL, RESOURCE_NAME, Spec, VERSION } from './v1alpha1.ts';

/** As JSON: `kubectl apply` keeps all of it once more in an annotation, and every client of the cluster reads it. */
export const MAX_CRD_BYTES = 64 * 1024;

interface PrinterColumn {
  name: string;
  type: 'string' | 'integer' | 'date';
  jsonPath: string;
  priority?: 1;
  description?: string;
}

const readyCondition = (field: string): string => `.status.conditions[?(@.type=="Ready")].${field}`;

const COLUMNS: readonly PrinterColumn[] = [
  { name: 'Ready', type: 'string', jsonPath: readyCondition('status'), description: 'Whether the endpoint serves.' },
  { name: 'Replicas', type: 'string', jsonPath: '.status.replicasSummary', description: 'Ready and wanted replicas.' },
  { name: 'Engine', type: 'string', jsonPath: '.status.plan.engine', description: 'What runs the model.' },
  { name: 'GPUs', type: 'string', jsonPath: '.status.plan.gpus', description: 'GPUs of one replica.' },
  {
    name: 'Context',
    type: 'integer',
    jsonPath: '.status.plan.maxModelLen',
    description: 'Longest request, in tokens.',
  },
  { name: 'Reason', type: 'string', jsonPath: readyCondition('reason'), description: 'Why, in one word.' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Endpoint', type: 'string', jsonPath: '.status.endpoint.url', priority: 1 },
  { name: 'Quantization', type: 'string', jsonPath: '.status.plan.quantization', priority: 1 },
  { name: 'Version', type: 'string', jsonPath: '.status.plan.engineVersion', priority: 1 },
];

/** The schema of the whole resource. */
export function resourceSchema(): StructuralSchema {
  const spec = structuralSchema(Spec.prefault({}), 'spec');
  const status = structuralSchema(Status, 'status');
  return {
    type: 'object',
    description: 'A private, OpenAI-compatible endpoint for Qwen3-Coder-Next on the GPUs of this cluster.',
    [RULES]: [{ rule: RESOURCE_NAME.cel, message: RESOURCE_NAME.message, fieldPath: '.metadata.name' }],
    required: ['metadata'],
    properties: {
      apiVersion: string('Version of the schema of this object.'),
      kind: string('Kind of this object.'),
      metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 253 } } },
      spec: { ...spec, description: 'What is wanted. Everything has a default or is planned from the cluster.' },
      status: { ...status, description: 'What is the case; written by the operator.' },
    },
  };
}

const string = (description: string): StructuralSchema => ({ type: 'string', description });

/** The CustomResourceDefinition, ready to be applied. */
export const customResourceDefinition = () => ({
  apiVersion: 'apiextensions.k8s.io/v1' as const,
  kind: 'CustomResourceDefinition' as const,
  metadata: { name: `${PLURAL}.${GROUP}`, labels: { 'app.kubernetes.io/name': 'qwen-coder-operator' } },
  spec: {
    group: GROUP,
    scope: 'Namespaced' as const,
    names: {
      kind: KIND,
      listKind: `${KIND}List`,
      plural: PLURAL,
      singular: KIND.toLowerCase(),
      shortNames: ['qcd'],
    },
    versions: [
      {
        name: VERSION,
        served: true,
        storage: true,
        additionalPrinterColumns: COLUMNS,
        subresources: {
          status: {},
          scale: {
            specReplicasPath: '.spec.replicas',
            statusReplicasPath: '.status.replicas',
            labelSelectorPath: '.status.selector',
          },
        },
        schema: { openAPIV3Schema: resourceSchema() },
      },
    ],
  },
});
