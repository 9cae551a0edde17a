import { describe, expect, onTestFinished, test } from 'vitest';
import { LeadershipLost, LeaseElection, type LeaseStore } from '../../src/kube/lease.ts';
import type { Lease } from '../../src/kube/resources.ts';
import { Controller } from '../../src/runtime/controller.ts';
import { type Component, Manager, type ManagerOptions } from '../../src/runtime/manager.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { CollectingLog } from './collecting-log.ts';

/** Parts that write down what happens to them, in order. */
function setUp(options: Partial<ManagerOptions> = {}) {
  const clock = new ManualClock();
  const log = new CollectingLog();
  const story: string[] = [];
  const stop = new AbortController();
  const synced = Promise.withResolvers<void>();
  const elected = Promise.withResolvers<AbortSignal>();
  const term = new AbortController();
  const part = (name: string, ready: Promise<unknown> = Promise.resolve()): Component => ({
    name,
    start: async (signal) => {
      signal.addEventListener('abort', () => story.push(`${name} aborted`));
      story.push(`${name} starts`);
      await ready;
    },
    stop: async () => void story.push(`${name} stops`),
  });
  const manager = new Manager({
    log,
    clock,
    probes: part('probes'),
    informers: [part('pods', synced.promise), part('nodes')],
    election: {
      campaign: async (signal) => {
        story.push('campaign');
        signal.addEventListener('abort', () => elected.reject(signal.reason));
        return elected.promise;
      },
      release: async () => void story.push('release'),
    },
    controllers: [part('events'), part('controller')],
    ...options,
  });
  const ended: { outcome?: unknown } = {};
  const run = manager.run(stop.signal).then(
    () => (ended.outcome = 'stopped'),
    (error: unknown) => (ended.outcome = error),
  );
  onTestFinished(async () => {
    stop.abort();
    await clock.advance(60_000);
    await run;
  });
  return { clock, log, story, stop, synced, elected, term, manager, run, ended, part };
}

describe('Manager', () => {
  test('parts start in order: probes, informers until synced, election, controllers', async () => {
    const { story, synced, elected, term, manager } = setUp();
    await settle();
    expect(story).toEqual(['probes starts', 'pods starts', 'nodes starts']);
    expect(manager.phase).toBe('starting');
    synced.resolve();
    await settle();
    expect(story.slice(3)).toEqual(['campaign']);
    expect(manager.phase).toBe('standby');
    elected.resolve(term.signal);
    await settle();
    expect(story.slice(4)).toEqual(['events starts', 'controller starts']);
    expect(manager.phase).toBe('leading');
  });

  test('parts stop in order: controllers last to first, Lease, informers, probes', async () => {
    const { story, synced, elected, term, stop, run, ended, manager } = setUp();
    synced.resolve();
    elected.resolve(term.signal);
    await settle();
    story.length = 0;
    stop.abort();
    await run;
    expect(story).toEqual([
      'controller stops',
      'events stops',
      'release',
      'probes aborted',
      'pods aborted',
      'nodes aborted',
      'pods stops',
      'nodes stops',
      'probes stops',
    ]);
    expect(ended.outcome).toBe('stopped');
    expect(manager.phase).toBe('stopped');
  });

  test('a standby is ready; a process that has not synced or stops is not', async () => {
    const { manager, synced, stop, run } = setUp();
    await settle();
    expect(manager.readiness.check()).toBe('is starting');
    synced.resolve();
    await settle();
    expect(manager.readiness.check()).toBeUndefined();
    stop.abort();
    await run;
    expect(manager.readiness.check()).toBe('is stopped');
  });

  test('asked to stop while it waits for the informers, it stops', async () => {
    const { stop, run, ended, story } = setUp();
    await settle();
    stop.abort();
    await run;
    expect(ended.outcome).toBe('stopped');
    expect(story).not.toContain('campaign');
  });

  test('asked to stop while it stands by, it stops and starts no controller', async () => {
    const { stop, synced, run, ended, story } = setUp();
    synced.resolve();
    await settle();
    stop.abort();
    await run;
    expect(ended.outcome).toBe('stopped');
    expect(story).not.toContain('controller starts');
  });

  test('asked to stop before it started, it starts nothing that lasts', async () => {
    const stop = new AbortController();
    stop.abort();
    const manager = new Manager({ log: new CollectingLog(), clock: new ManualClock(), controllers: [] });
    await manager.run(stop.signal);
    expect(manager.phase).toBe('stopped');
  });

  test('a lost term ends the process with an error', async () => {
    const { synced, elected, term, run, ended, log } = setUp();
    synced.resolve();
    elected.resolve(term.signal);
    await settle();
    term.abort(new LeadershipLost('Leadership lost: no renewal for 12000 ms'));
    await run;
    expect(ended.outcome).toBeInstanceOf(LeadershipLost);
    expect(log.lines('error')).toEqual(['error the operator cannot go on']);
  });

  test.each(['probes', 'informers', 'controllers'] as const)('%s that cannot start end the process', async (where) => {
    const broken: Component = { name: 'broken', start: () => Promise.reject(new Error('EADDRINUSE')) };
    const { synced, elected, term, run, ended } = setUp({ [where]: where === 'probes' ? broken : [broken] });
    synced.resolve();
    elected.resolve(term.signal);
    await run;
    expect(ended.outcome).toEqual(new Error('EADDRINUSE'));
  });

  test('without an election it leads at once', async () => {
    const story: string[] = [];
    const controller: Component = { name: 'controller', start: () => void story.push('starts') };
    const stop = new AbortController();
    const manager = new Manager({ log: new CollectingLog(), clock: new ManualClock(), controllers: [controller] });
    const run = manager.run(stop.signal);
    await settle();
    expect(story).toEqual(['starts']);
    stop.abort();
    await run;
  });

  test('a part that does not stop, or fails to, keeps no other from stopping', async () => {
    const stuck: Component = { name: 'stuck', start: () => {}, stop: () => new Promise(() => {}) };
    const failing: Component = { name: 'failing', start: () => {}, stop: () => Promise.reject(new Error('no')) };
    const { clock, story, stop, elected, term, run, log } = setUp({
      controllers: [{ name: 'events', start: () => {}, stop: () => void story.push('events stops') }, stuck],
      informers: [failing],
    });
    elected.resolve(term.signal);
    await settle();
    stop.abort();
    await clock.advance(23_999);
    expect(story).not.toContain('release');
    await clock.advance(1);
    await run;
    expect(story.slice(-4)).toEqual(['events stops', 'release', 'probes aborted', 'probes stops']);
    expect(log.entries.filter(({ level }) => level === 'warn').map(({ fields }) => fields['part'])).toEqual([
      'stuck',
      'failing',
    ]);
    expect(clock.pending).toBe(0);
  });

  test('after a lost term nobody waits for reconciles that do not end', async () => {
    const stuck: Component = { name: 'stuck', start: () => {}, stop: () => new Promise(() => {}) };
    const { clock, synced, elected, term, ended } = setUp({ controllers: [stuck] });
    synced.resolve();
    elected.resolve(term.signal);
    await settle();
    term.abort(new LeadershipLost('Leadership lost'));
    await clock.advance(2_000);
    expect(ended.outcome).toBeInstanceOf(LeadershipLost);
  });

  test('the Lease is held until the reconcile in work has finished', async () => {
    const clock = new ManualClock();
    const finish = Promise.withResolvers<void>();
    let lease: Lease | undefined;
    const keep = async (next: Lease) => (lease = next);
    const store: LeaseStore = { get: async () => lease, create: keep, update: keep };
    const key = { namespace: 'operators', name: 'leader' };
    const election = new LeaseElection({ store, key, identity: 'a', clock, random: () => 0 });
    const log = new CollectingLog();
    const controller = new Controller({ name: 'test', clock, log, reconcile: () => finish.promise });
    controller.add('a');
    const stop = new AbortController();
    const run = new Manager({ log, clock, election, controllers: [controller] }).run(stop.signal);
    await clock.advance(5_000);
    stop.abort();
    await clock.advance(15_000);
    expect(lease!.spec!.holderIdentity).toBe('a');
    finish.resolve();
    await run;
    expect(lease!.spec!.holderIdentity).toBe('');
    expect(clock.pending).toBe(0);
  });
});
