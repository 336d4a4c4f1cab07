import { flagTable, type FlagName, type KnownFlag } from './flag-table.ts'
import { readFlagValue, type FlagRow, type FlagValue, type ValueOf } from './flag-types.ts'

type RowOf<Name extends FlagName> = Extract<KnownFlag, { name: Name }>

const rowsByName = new Map<string, FlagRow & { readonly name: FlagName }>(
  flagTable.map((row) => [row.name, row]),
)

export function flagRow(name: string): (FlagRow & { readonly name: FlagName }) | undefined {
  return rowsByName.get(name)
}

/** The value of every flag, and which of them were given. */
export class FlagValues {
  readonly #given = new Map<FlagName, FlagValue>()

  /** @throws ConfigError with the reason alone */
  setText(row: FlagRow & { readonly name: FlagName }, text: string): void {
    this.#given.set(row.name, readFlagValue(row, text))
  }

  setValue(row: FlagRow & { readonly name: FlagName }, value: FlagValue): void {
    this.#given.set(row.name, value)
  }

  isGiven(name: FlagName): boolean {
    return this.#given.has(name)
  }

  /** The value given for a flag, else the one given under an older name of it, else its default. */
  get<Name extends FlagName>(name: Name): ValueOf<RowOf<Name>> {
    // The map holds under each name what `readFlagValue` or the file's reader made for the kind of its row.
    return this.#find(name) as ValueOf<RowOf<Name>>
  }

  #find(name: FlagName): FlagValue {
    const given = this.#given.get(name)
    if (given !== undefined) return given
    for (const older of flagTable) {
      const value = older.oldNameOf === name ? this.#given.get(older.name) : undefined
      if (value !== undefined) return value
    }
    return defaultOf(name)
  }
}

const defaults = new Map<FlagName, FlagValue>()

function defaultOf(name: FlagName): FlagValue {
  let value = defaults.get(name)
  if (value === undefined) {
    const row = rowsByName.get(name)
    if (row === undefined) throw new TypeError(`no flag ${name}`)
    value = readFlagValue(row, row.default)
    defaults.set(name, value)
  }
  return value
}
