import { ApiError } from '@etcd-ts/api'

/** What members tell each other of a change that the membership does not allow: other words than a client gets. */
const membershipTexts = {
  memberNotFound: 'membership: ID not found',
  memberNotLearner: 'membership: can only promote a learner member',
  memberExist: 'membership: ID exists',
  peerUrlExist: 'membership: peerURL exists',
  tooManyLearners: 'membership: too many learner members in cluster',
} as const

/** The text of `error` between members. */
export function internalText(error: unknown): string {
  if (error instanceof ApiError && Object.hasOwn(membershipTexts, error.reason))
    return membershipTexts[error.reason as keyof typeof membershipTexts]
  return error instanceof Error ? error.message : String(error)
}
