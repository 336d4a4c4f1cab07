export type Labels = Readonly<Record<string, string>>

interface Child {
  readonly labels: Labels
  value: number
}

/** Label values may come from outside; those that would be one too many are counted together under this one. */
const OTHER = 'other'
const CHILDREN_MAX = 256

/** A number for each combination of label values, of which there are never more than a few hundred. */
export class LabelledValues {
  readonly #names: readonly string[]
  readonly #children = new Map<string, Child>()

  constructor(names: readonly string[]) {
    this.#names = names
  }

  /** @param values of the labels, in the order of their names */
  add(amount: number, ...values: readonly string[]): void {
    this.#child(values).value += amount
  }

  set(value: number, ...values: readonly string[]): void {
    this.#child(values).value = value
  }

  samples(): readonly { readonly labels: Labels; readonly value: number }[] {
    return [...this.#children.values()]
  }

  #child(values: readonly string[]): Child {
    const key = values.join('\0')
    let child = this.#children.get(key)
    if (child === undefined) {
      if (this.#children.size >= CHILDREN_MAX && values.some((value) => value !== OTHER)) {
        return this.#child(values.map(() => OTHER))
      }
      child = {
        labels: Object.fromEntries(this.#names.map((name, index) => [name, values[index] ?? ''])),
        value: 0,
      }
      this.#children.set(key, child)
    }
    return child
  }
}
