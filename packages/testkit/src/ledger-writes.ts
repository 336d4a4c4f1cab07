import type { KvCall } from './kv-types.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { LedgerWrite } from './write-ledger.ts'

/** The writes of one client for a `WriteLedger`: single puts, and pairs of puts that also delete one half of the pair before. */
export class LedgerWrites {
  readonly #name: string
  readonly #random: SeededRandom
  #written = 0
  #newestPair: string | undefined

  /** @param name unique among those who write to one store */
  constructor(name: string, random: SeededRandom) {
    this.#name = name
    this.#random = random
  }

  next(): LedgerWrite {
    const value = `${this.#name}:${this.#written++}`
    if (this.#random.chance(0.5)) return { value, puts: [`${value}/single`], deletes: [] }
    const deletes = this.#newestPair === undefined ? [] : [this.#newestPair]
    this.#newestPair = `${value}/left`
    return { value, puts: [`${value}/left`, `${value}/right`], deletes }
  }

  /** The last write was not answered: whether its pair is there is not known, so the next one does not build on it. */
  unanswered(): void {
    this.#newestPair = undefined
  }
}

/** The call that makes a write. */
export function ledgerCall({ puts, deletes, value }: LedgerWrite): KvCall {
  const [only] = puts
  if (puts.length === 1 && deletes.length === 0 && only !== undefined) {
    return { kind: 'put', key: only, value }
  }
  const operations = [
    ...puts.map((key) => ({ kind: 'put', key, value }) as const),
    ...deletes.map((key) => ({ kind: 'deleteRange', key }) as const),
  ]
  return { kind: 'txn', compare: [], success: operations, failure: [] }
}
