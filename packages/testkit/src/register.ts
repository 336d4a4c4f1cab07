import type { Specification } from './linearizability.ts'

/** What can be done with a value that may be absent. */
export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'put'; readonly value: string }
  | { readonly kind: 'delete' }
  /** Puts `value` if the register holds `expected` (undefined: nothing), else reads it. */
  | { readonly kind: 'cas'; readonly expected: string | undefined; readonly value: string }

/** What came of it. */
export type RegisterOutput =
  | { readonly kind: 'read'; readonly value: string | undefined }
  | { readonly kind: 'put' }
  | { readonly kind: 'delete'; readonly deleted: boolean }
  | { readonly kind: 'cas'; readonly succeeded: true }
  | { readonly kind: 'cas'; readonly succeeded: false; readonly value: string | undefined }

interface RegisterState {
  readonly value: string | undefined
}

const absent: RegisterState = { value: undefined }

/** One key of a store, without its revisions. */
export const registerSpecification: Specification<RegisterState, RegisterInput, RegisterOutput> = {
  initial: absent,

  step(state, input, output) {
    switch (input.kind) {
      case 'read':
        return output?.kind !== 'read' || output.value === state.value ? state : undefined
      case 'put':
        return { value: input.value }
      case 'delete': {
        const deletes = state.value !== undefined
        return output?.kind !== 'delete' || output.deleted === deletes ? absent : undefined
      }
      case 'cas': {
        const succeeds = state.value === input.expected
        const next = succeeds ? { value: input.value } : state
        if (output?.kind !== 'cas') return next
        if (output.succeeded !== succeeds) return undefined
        return output.succeeded || output.value === state.value ? next : undefined
      }
    }
  },

  isPure(input, output) {
    if (input.kind === 'read') return true
    if (output?.kind === 'cas') return !output.succeeded
    return output?.kind === 'delete' && !output.deleted
  },

  keyOf({ value }) {
    return value ?? '(nothing)'
  },

  describe(input, output) {
    const unknown = output === undefined ? ' -> no answer' : ''
    switch (input.kind) {
      case 'read':
        return `read${output?.kind === 'read' ? ` -> ${output.value ?? '(nothing)'}` : unknown}`
      case 'put':
        return `put ${input.value}${unknown}`
      case 'delete':
        return `delete${output?.kind === 'delete' && !output.deleted ? ' -> was absent' : unknown}`
      case 'cas': {
        const words = `cas ${input.expected ?? '(nothing)'} to ${input.value}`
        if (output?.kind !== 'cas') return words + unknown
        return output.succeeded ? `${words} -> done` : `${words} -> is ${output.value ?? '(nothing)'}`
      }
    }
  },
}
