import type { Metrics } from '../runtime/index.ts';
import type { Admission } from './admission.ts';
import type { BodyMemory } from './body-memory.ts';
import type { Replicas } from './replicas.ts';

/** What is under way at the moment, told at each scrape. */
export function collectFrom(metrics: Metrics, admission: Admission, bodies: BodyMemory, replicas: Replicas): void {
  metrics.collectedGauge(
    { name: 'qwen_coder_gateway_held', help: 'Requests that wait for a place at an engine, by key.', labels: ['key'] },
    (set) => {
      for (const { holder, waiting } of admission.holders()) set({ key: holder }, waiting);
    },
  );
  metrics.collectedGauge(
    {
      name: 'qwen_coder_gateway_longest_held_seconds',
      help: 'How long the request has waited that has waited longest.',
      labels: [],
    },
    (set) => set({}, admission.longestWaitMs / 1000),
  );
  metrics.collectedGauge(
    {
      name: 'qwen_coder_gateway_body_bytes',
      help: 'Bodies of requests, from their first byte to the end of their answer.',
      labels: [],
    },
    (set) => set({}, bodies.total),
  );
  metrics.collectedGauge(
    { name: 'qwen_coder_gateway_key_in_flight', help: 'Answers under way at engines, by key.', labels: ['key'] },
    (set) => {
      for (const { holder, inFlight } of admission.holders()) set({ key: holder }, inFlight);
    },
  );
  metrics.collectedGauge(
    { name: 'qwen_coder_gateway_in_flight', help: 'Answers under way at an engine, by replica.', labels: ['replica'] },
    (set) => {
      for (const { id, inFlight } of replicas.all()) set({ replica: id }, inFlight);
    },
  );
  metrics.collectedGauge(
    { name: 'qwen_coder_gateway_replicas', help: 'Replicas by state.', labels: ['state'] },
    (set) => {
      const counts = { Ready: 0, Draining: 0, Away: 0 };
      for (const { state, isAway } of replicas.all()) counts[isAway ? 'Away' : state] += 1;
      for (const [state, count] of Object.entries(counts)) set({ state }, count);
    },
  );
}
