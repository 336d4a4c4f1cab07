import type { KeyValue } from './kv-types.ts'

/** One write of a client, in one transaction: some keys are put, at most some others deleted. */
export interface LedgerWrite {
  readonly puts: readonly string[]
  readonly deletes: readonly string[]
  /** Unique, and the value of every key put. */
  readonly value: string
}

type Fate = 'pending' | 'unknown' | 'absent' | { readonly revision: number }

interface Entry extends LedgerWrite {
  fate: Fate
}

/**
 * Who wrote what and what came of it: decides, after a crash, whether every acknowledged write is there, whether any write
 * is there in part, and whether a revision was given out twice.
 *
 * Every key is put by one write only and deleted by one write only, so what a store holds names the writes that it holds.
 */
export class WriteLedger {
  readonly #entries: Entry[] = []
  #unsettled: Entry[] = []
  readonly #putBy = new Map<string, Entry>()
  readonly #deletedBy = new Map<string, Entry>()
  readonly #byRevision = new Map<number, Entry>()
  /** The highest revision that any answer has shown. */
  revision = 0

  /** Notes a write that is about to be sent. */
  begin(write: LedgerWrite): LedgerWrite {
    const entry: Entry = { ...write, fate: 'pending' }
    this.#entries.push(entry)
    this.#unsettled.push(entry)
    for (const key of write.puts) this.#claim(this.#putBy, key, entry)
    for (const key of write.deletes) this.#claim(this.#deletedBy, key, entry)
    return entry
  }

  /** The server has acknowledged the write. @throws when its revision is not a new one */
  acknowledged(write: LedgerWrite, revision: number): void {
    const entry = write as Entry
    const other = this.#byRevision.get(revision)
    if (other !== undefined && other !== entry) {
      throw new Error(`revision ${revision} was given to ${other.value} and to ${entry.value}`)
    }
    this.#byRevision.set(revision, entry)
    entry.fate = { revision }
    this.revision = Math.max(this.revision, revision)
  }

  /** The call ended without an answer: the write may have happened or not. */
  unanswered(write: LedgerWrite): void {
    ;(write as Entry).fate = 'unknown'
  }

  get counts(): { acknowledged: number; unanswered: number; lost: number } {
    const counts = { acknowledged: 0, unanswered: 0, lost: 0 }
    for (const { fate } of this.#entries) {
      if (typeof fate === 'object') counts.acknowledged += 1
      else if (fate === 'absent') counts.lost += 1
      else counts.unanswered += 1
    }
    return counts
  }

  /**
   * Compares all live pairs of a restarted store, with nothing being written, with what must and may be there. The fate of
   * unanswered writes is settled by what is found, for good.
   *
   * @throws naming the first write that is missing, there in part, or unknown
   */
  check(kvs: readonly KeyValue[], revision: number): void {
    if (revision < this.revision)
      throw new Error(`the store went back from revision ${this.revision} to ${revision}`)
    this.revision = revision
    const stored = new Map(kvs.map((kv) => [kv.key, kv]))
    for (const kv of kvs) {
      const entry = this.#putBy.get(kv.key)
      if (entry === undefined || entry.value !== kv.value)
        throw new Error(`nobody wrote ${kv.value} to ${kv.key}`)
    }
    for (const entry of this.#unsettled) {
      if (typeof entry.fate !== 'object') this.#settle(entry, stored)
    }
    this.#unsettled = []
    for (const entry of this.#entries) this.#checkEntry(entry, stored)
  }

  /** An unanswered write happened exactly if one of its keys, or of those it deletes, says so. */
  #settle(entry: Entry, stored: ReadonlyMap<string, KeyValue>): void {
    const found = entry.puts.map((key) => stored.get(key)).find((kv) => kv !== undefined)
    if (found === undefined) entry.fate = 'absent'
    else this.acknowledged(entry, found.modRevision)
  }

  #checkEntry(entry: Entry, stored: ReadonlyMap<string, KeyValue>): void {
    const happened = typeof entry.fate === 'object'
    for (const key of entry.puts) {
      const remover = this.#deletedBy.get(key)
      const expected = happened && typeof remover?.fate !== 'object'
      const kv = stored.get(key)
      if (expected && kv === undefined) throw new Error(`${key} of ${describe(entry)} is missing`)
      if (!expected && kv !== undefined) {
        throw new Error(
          `${key} of ${describe(entry)} is there${remover === undefined ? '' : `, not deleted by ${describe(remover)}`}`,
        )
      }
      if (kv !== undefined && kv.version !== 1) throw new Error(`${key} was put ${kv.version} times`)
      if (kv !== undefined && typeof entry.fate === 'object' && kv.modRevision !== entry.fate.revision) {
        throw new Error(`${key} of ${describe(entry)} has revision ${kv.modRevision}`)
      }
    }
  }

  #claim(owners: Map<string, Entry>, key: string, entry: Entry): void {
    if (owners.has(key)) throw new Error(`${key} is written twice`)
    owners.set(key, entry)
  }
}

function describe({ value, fate }: Entry): string {
  return `${value} (${typeof fate === 'object' ? `acknowledged at revision ${fate.revision}` : fate})`
}
