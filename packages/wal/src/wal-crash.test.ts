import assert from 'node:assert/strict'
import test from 'node:test'
import { raftpb } from '@etcd-ts/api'
import { type Random, errorCode } from '@etcd-ts/platform'
import { SeededRandom, SimDisk } from '@etcd-ts/testkit'
import type { Entry, HardState, SnapshotRecord } from './frame.ts'
import type { SnapshotPoint } from './replay.ts'
import { Wal } from './wal.ts'
import { WalError } from './wal-error.ts'

const DIR = '/data/member/wal'
const metadata = Uint8Array.of(8, 1, 16, 2)
const confState: raftpb.ConfStateInit = { voters: [1n, 2n, 3n] }

type Record_ =
  | { readonly kind: 'entry'; readonly index: number; readonly text: string }
  | { readonly kind: 'state'; readonly term: number; readonly vote: bigint; readonly commit: number }
  | { readonly kind: 'snapshot'; readonly index: number; readonly term: number }

/** What a log holds, from a snapshot on. */
interface Content {
  readonly snapshot: SnapshotPoint
  /** By index; those behind the snapshot. */
  readonly entries: readonly string[]
  readonly term: number
  readonly vote: bigint
}

function textOf({ type, term, data }: Entry): string {
  return `${type}/${term}/${data === undefined ? '-' : Buffer.from(data).toString('latin1')}`
}

/** What the log holds after the first `count` records, for a reader that starts at `snapshot`. */
function contentAfter(records: readonly Record_[], count: number, snapshot: SnapshotPoint): Content {
  const log = new Map<number, string>()
  let last = 0
  let term = 0
  let vote = 0n
  const cutBehind = (index: number): void => {
    for (; last > index; last--) log.delete(last)
  }
  for (const record of records.slice(0, count)) {
    if (record.kind === 'entry') {
      cutBehind(record.index - 1)
      log.set(record.index, record.text)
      last = record.index
    } else if (record.kind === 'state') {
      ;({ term, vote } = record)
    } else {
      last = Math.max(last, record.index)
    }
  }
  const entries: string[] = []
  for (let index = snapshot.index + 1; index <= last; index++) entries.push(log.get(index) ?? 'missing')
  return { snapshot, entries, term, vote }
}

interface MemberOptions {
  readonly segmentBytes: number
  /** Whether entries may be committed before they are durable here, as in a cluster. */
  readonly isFollower: boolean
  readonly garbage: boolean
  readonly operations: number
}

/** Drives a log as a member would, remembers what it was promised, and checks it after each crash. */
class Member {
  readonly #random: SeededRandom
  readonly #options: MemberOptions
  disk = new SimDisk()
  #wal: Wal | undefined
  /** All that was ever written, as long as it may still be found. */
  #records: Record_[] = []
  /** How many of them must be found. */
  #acknowledged = 0
  #snapshots: SnapshotPoint[] = [{ index: 0, term: 0 }]
  #log: { readonly term: number }[] = []
  #state: HardState = { term: 1, vote: 1n, commit: 0 }
  #syncedIndex = 0
  /** What the cluster has committed whether this member still knows it or not: this index is of this term. */
  #received: SnapshotPoint = { index: 0, term: 0 }

  constructor(random: SeededRandom, options: MemberOptions) {
    this.#random = random
    this.#options = options
  }

  /** Runs until all operations are done or the process ends. @returns whether it ended */
  async run(): Promise<boolean> {
    try {
      this.#start()
      for (let i = 0; i < this.#options.operations; i++) await this.#operate()
      await this.#wal?.sync()
      return false
    } catch (error) {
      for (
        let cause: unknown = error;
        cause !== undefined;
        cause = cause instanceof Error ? cause.cause : undefined
      ) {
        if (cause instanceof Error && cause.name === 'SimCrashError') return true
      }
      throw error
    }
  }

  crash(): void {
    this.disk = this.disk.crash(this.#random, { garbage: this.#options.garbage })
  }

  kill(): void {
    this.disk = this.disk.kill()
  }

  #start(): void {
    const { segmentBytes } = this.#options
    if (!Wal.exists(this.disk, DIR)) {
      assert.equal(this.#acknowledged, 0, 'the log is gone')
      this.#records = []
      this.#snapshots = [{ index: 0, term: 0 }]
      this.#log = []
      this.#state = { term: 1, vote: 1n, commit: 0 }
      this.#syncedIndex = 0
      this.#wal = Wal.create(this.disk, DIR, { metadata, segmentBytes })
      return
    }
    const valid = Wal.snapshotsIn(this.disk, DIR)
    const snapshot = valid.at(-1)
    assert.ok(snapshot !== undefined, 'a log without any snapshot point')
    const opened = Wal.open(this.disk, DIR, snapshot, { segmentBytes })
    this.#check(opened.entries, opened.hardState, snapshot)
    this.#wal = opened.wal
    this.#snapshots = valid
    this.#log = Array.from({ length: snapshot.index }, () => ({ term: snapshot.term }))
    for (const entry of opened.entries) this.#log.push({ term: entry.term })
    this.#state = opened.hardState ?? { term: 1, vote: 1n, commit: 0 }
    // Entries may have survived whose term did not: it follows them in the log.
    const lastTerm = this.#log.at(-1)?.term ?? 0
    if (lastTerm > this.#state.term) this.#state = { ...this.#state, term: lastTerm, vote: 0n }
    this.#syncedIndex = this.#log.length
    // All that was found counts as written and synced now.
    this.#acknowledged = this.#records.length
  }

  /** What was found must be what the first records, among them all acknowledged ones, say. */
  #check(found: readonly Entry[], hardState: raftpb.HardState | undefined, snapshot: SnapshotPoint): void {
    const { term, vote, commit } = hardState ?? { term: 0, vote: 0n, commit: 0 }
    const entries = found.map(textOf)
    const isFound = (count: number): boolean => {
      const expected = contentAfter(this.#records, count, snapshot)
      return (
        expected.term === term &&
        expected.vote === vote &&
        expected.entries.length === entries.length &&
        expected.entries.every((text, i) => text === entries[i])
      )
    }
    let count = this.#records.length
    while (count >= this.#acknowledged && !isFound(count)) count--
    if (count < this.#acknowledged) {
      const expected = contentAfter(this.#records, this.#acknowledged, snapshot)
      assert.fail(
        `found ${entries.length} entries behind ${snapshot.index}, term ${term}, vote ${vote}, commit ${commit}; ` +
          `acknowledged were ${expected.entries.length}, term ${expected.term}, vote ${expected.vote}`,
      )
    }
    assert.ok(commit <= snapshot.index + entries.length)
    assert.ok(commit >= snapshot.index)
    this.#records = this.#records.slice(0, count)
  }

  async #operate(): Promise<void> {
    const random = this.#random
    const fate = random.below(20)
    if (fate === 0) return this.#takeSnapshot()
    if (fate === 1 && this.#options.isFollower) return this.#receiveSnapshot()
    this.#append(this.#someEntries())
    if (random.chance(0.7)) await this.#sync()
    else if (random.chance(0.5)) void this.#sync().catch(() => {})
  }

  #someEntries(): Entry[] {
    const random = this.#random
    let first = this.#log.length + 1
    let { term, vote, commit } = this.#state
    const isBehind = this.#log.length < this.#received.index
    if (isBehind && term < this.#received.term && this.#log.length + 8 >= this.#received.index) {
      term = this.#received.term
      vote = 0n
    } else if (random.chance(0.1) && (!isBehind || term < this.#received.term)) {
      // A new leader, whose log may differ from here behind what is committed.
      term++
      vote = BigInt(random.below(3))
      if (this.#options.isFollower) first = random.between(commit + 1, first)
    }
    const entries: Entry[] = []
    for (let i = random.below(8); i > 0; i--) {
      const size = random.chance(0.1) ? 2000 : random.below(200)
      const data = size === 0 ? undefined : new Uint8Array(size).fill(random.below(256))
      entries.push({ type: raftpb.EntryType.EntryNormal, term, index: first + entries.length, data })
    }
    if (entries.length > 0) this.#log.length = first - 1
    for (const entry of entries) this.#log.push({ term: entry.term })
    const committable = this.#options.isFollower
      ? this.#log.length
      : Math.min(this.#syncedIndex, this.#log.length)
    if (committable > commit) commit = random.between(commit, committable)
    this.#state = { term, vote, commit }
    return entries
  }

  #append(entries: readonly Entry[], snapshot?: SnapshotRecord): void {
    if (snapshot !== undefined)
      this.#records.push({ kind: 'snapshot', index: snapshot.index, term: snapshot.term })
    for (const entry of entries)
      this.#records.push({ kind: 'entry', index: entry.index, text: textOf(entry) })
    this.#records.push({ kind: 'state', ...this.#state })
    this.#wal?.append(this.#state, entries, snapshot)
  }

  async #sync(): Promise<void> {
    const count = this.#records.length
    const index = this.#log.length
    await this.#wal?.sync()
    this.#acknowledged = Math.max(this.#acknowledged, count)
    this.#syncedIndex = Math.min(index, this.#log.length)
  }

  async #takeSnapshot(): Promise<void> {
    const index = this.#state.commit
    const term = this.#log[index - 1]?.term
    if (term === undefined || index <= (this.#snapshots.at(-1)?.index ?? 0)) return
    const snapshot = { index, term, confState }
    this.#append([], snapshot)
    await this.#sync()
    this.#snapshots.push({ index, term })
    assert.deepEqual(
      Wal.snapshotsIn(this.disk, DIR).at(-1),
      { index, term },
      'a synced snapshot point counts',
    )
    this.#wal?.releaseTo(index)
    await this.#wal?.purge({ keep: this.#random.between(1, 3) })
  }

  async #receiveSnapshot(): Promise<void> {
    const index = this.#log.length + this.#random.between(1, 20)
    const term = this.#state.term
    if (index <= this.#received.index) return
    this.#received = { index, term }
    this.#log = Array.from({ length: index }, () => ({ term }))
    this.#state = { ...this.#state, commit: index }
    this.#append([], { index, term, confState })
    this.#snapshots.push({ index, term })
    if (this.#random.chance(0.5)) {
      const entry = { type: raftpb.EntryType.EntryNormal, term, index: index + 1, data: Uint8Array.of(1) }
      this.#log.push({ term })
      this.#append([entry])
    }
    await this.#sync()
  }
}

/** How many seeds to try; the environment may ask for more. */
const SEEDS = Number(process.env['ETCD_TS_SEEDS'] ?? 400)

function optionsFor(random: Random): MemberOptions {
  return {
    segmentBytes: [1500, 4000, 20_000][random.below(3)]!,
    isFollower: random.below(2) === 0,
    garbage: random.below(2) === 0,
    operations: 40,
  }
}

/** Repeats what failed under the seed that it failed with. */
async function underSeed(seed: number, run: (random: SeededRandom) => Promise<void>): Promise<void> {
  try {
    await run(new SeededRandom(seed))
  } catch (error) {
    throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`, { cause: error })
  }
}

void test('D-21, D-30: whatever a loss of power keeps of what was not synced, nothing acknowledged is lost', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    await underSeed(seed, async (random) => {
      const member = new Member(random, optionsFor(random))
      for (let crash = 0; crash < 3; crash++) {
        member.disk.crashAtCall(random.between(1, 160))
        await member.run()
        if (random.chance(0.3)) {
          // First the process, then, after it has read what the page cache still had, the machine.
          member.kill()
          member.disk.crashAtCall(random.between(5, 40))
          await member.run()
        }
        member.crash()
      }
      await member.run()
    })
  }
})

for (const isFollower of [false, true]) {
  const who = isFollower ? 'a follower' : 'a single voter'
  void test(`D-20: ${who} recovers from the end of the process and of the machine at every call of the disk`, async () => {
    const options = { segmentBytes: 3000, isFollower, garbage: true, operations: 60 }
    const undisturbed = new Member(new SeededRandom(7), options)
    await undisturbed.run()
    for (let call = 1; call <= undisturbed.disk.calls; call++) {
      await underSeed(call, async () => {
        for (const end of ['kill', 'crash'] as const) {
          const member = new Member(new SeededRandom(7), options)
          member.disk.crashAtCall(call)
          await member.run()
          member[end]()
          member.disk.crashAtCall(60)
          await member.run()
          member.kill()
        }
      })
    }
  })
}

void test('D-24: after a sync that failed nothing more is promised, and what was acknowledged is found', async () => {
  for (let seed = 0; seed < SEEDS / 4; seed++) {
    await underSeed(seed, async (random) => {
      const member = new Member(random, optionsFor(random))
      let left = random.between(3, 30)
      member.disk.injectFaults(({ operation }) => {
        const isSync = operation === 'datasync' || operation === 'syncDirectory'
        return isSync && --left === 0 ? { code: 'EIO' } : undefined
      })
      await assert.rejects(
        member.run(),
        (error) => error instanceof WalError && errorCode(error.cause) === 'EIO',
      )
      member.crash()
      await member.run()
    })
  }
})
