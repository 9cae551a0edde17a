export {
  type Condition,
  CONDITIONS,
  type ConditionStatus,
  type ConditionType,
  type ConditionUpdate,
  condition,
  MAX_MESSAGE_LENGTH,
  type Reason,
  type ReasonEntry,
  type ReasonOf,
  REASONS,
  setCondition,
} from './conditions.ts';
export { customResourceDefinition } from './crd.ts';
export { NOT_EFFECTIVE, type NotEffective } from './not-effective.ts';
export { type Parsed, parseResource, parseSpec } from './parse.ts';
export { type QwenCoderStatus, Status } from './status.ts';
export {
  GROUP,
  KIND,
  MAX_NAME_LENGTH,
  PLURAL,
  QUANTIZATIONS,
  type QwenCoderDeployment,
  type QwenCoderSpec,
  type QwenCoderSpecInput,
  RESOURCE_NAME,
  type ResourceMeta,
  Spec,
  VERSION,
} from './v1alpha1.ts';
