import { ApiError } from '@etcd-ts/api'
import { statusText } from '@etcd-ts/client'
import { errorText } from './exit.ts'

/** Errors that etcdctl does not know by their text: it prints the whole status. */
const PLAIN = /^(etcdserver: (?!request cancelled)|context )/

/** The text of a call's error, as etcdctl prints it. */
export function callErrorText(error: unknown): string {
  if (!(error instanceof ApiError) || PLAIN.test(error.message)) return errorText(error)
  return statusText(error.code, error.message)
}
