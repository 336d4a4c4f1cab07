/** Something that raft relies on does not hold. The member must stop: nothing it could do now is known to be safe. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Marks where the compiler proves that nothing gets. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected ${String(value)}`)
}

export function broken(text: string): never {
  throw new InvariantError(text)
}
