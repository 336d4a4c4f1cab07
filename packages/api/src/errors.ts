/** gRPC status codes, by the names that etcd's documents give them. */
const code = {
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const

/** What a client sees of an error: the gRPC status code and the status message. */
export interface ErrorRow {
  readonly code: number
  readonly text: string
}

/**
 * Every error that etcd 3.5 gives to a client of the v3 API, by reason.
 *
 * Clients tell errors apart by the text, so each text is one row. The code is the one on the wire: two of
 * etcd's declared codes (`memberNotEnoughStarted`, `tooManyRequests`) never get there, and three differ from
 * those of 3.6 (`clusterVersionUnavailable`, `notCapable`, `notSupportedForLearner`).
 */
export const errorTable = {
  // Keys and transactions
  emptyKey: { code: code.invalidArgument, text: 'etcdserver: key is not provided' },
  keyNotFound: { code: code.invalidArgument, text: 'etcdserver: key not found' },
  valueProvided: { code: code.invalidArgument, text: 'etcdserver: value is provided' },
  leaseProvided: { code: code.invalidArgument, text: 'etcdserver: lease is provided' },
  tooManyOps: { code: code.invalidArgument, text: 'etcdserver: too many operations in txn request' },
  duplicateKey: { code: code.invalidArgument, text: 'etcdserver: duplicate key given in txn request' },
  invalidSortOption: { code: code.invalidArgument, text: 'etcdserver: invalid sort option' },
  compacted: { code: code.outOfRange, text: 'etcdserver: mvcc: required revision has been compacted' },
  futureRevision: { code: code.outOfRange, text: 'etcdserver: mvcc: required revision is a future revision' },
  noSpace: { code: code.resourceExhausted, text: 'etcdserver: mvcc: database space exceeded' },
  watchCanceled: { code: code.canceled, text: 'etcdserver: watch canceled' },

  // Leases
  leaseNotFound: { code: code.notFound, text: 'etcdserver: requested lease not found' },
  leaseExist: { code: code.failedPrecondition, text: 'etcdserver: lease already exists' },
  leaseTtlTooLarge: { code: code.outOfRange, text: 'etcdserver: too large lease TTL' },
  notPrimaryLessor: { code: code.unknown, text: 'not a primary lessor' },

  // Members
  memberExist: { code: code.failedPrecondition, text: 'etcdserver: member ID already exist' },
  peerUrlExist: { code: code.failedPrecondition, text: 'etcdserver: Peer URLs already exists' },
  memberNotEnoughStarted: {
    code: code.unknown,
    text: 'etcdserver: re-configuration failed due to not enough started members',
  },
  memberBadUrls: { code: code.invalidArgument, text: 'etcdserver: given member URLs are invalid' },
  memberNotFound: { code: code.notFound, text: 'etcdserver: member not found' },
  memberNotLearner: { code: code.failedPrecondition, text: 'etcdserver: can only promote a learner member' },
  learnerNotReady: {
    code: code.failedPrecondition,
    text: 'etcdserver: can only promote a learner member which is in sync with leader',
  },
  tooManyLearners: { code: code.failedPrecondition, text: 'etcdserver: too many learner members in cluster' },
  notSupportedForLearner: { code: code.unavailable, text: 'etcdserver: rpc not supported for learner' },
  badLeaderTransferee: { code: code.failedPrecondition, text: 'etcdserver: bad leader transferee' },
  timeoutLeaderTransfer: {
    code: code.unknown,
    text: 'etcdserver: request timed out, leader transfer took too long',
  },

  // The state of the cluster and of the member that answers
  noLeader: { code: code.unavailable, text: 'etcdserver: no leader' },
  notLeader: { code: code.failedPrecondition, text: 'etcdserver: not leader' },
  leaderChanged: { code: code.unavailable, text: 'etcdserver: leader changed' },
  notCapable: { code: code.unavailable, text: 'etcdserver: not capable' },
  stopped: { code: code.unavailable, text: 'etcdserver: server stopped' },
  unhealthy: { code: code.unavailable, text: 'etcdserver: unhealthy cluster' },
  corrupt: { code: code.dataLoss, text: 'etcdserver: corrupt cluster' },
  clusterIdMismatch: { code: code.failedPrecondition, text: 'etcdserver: cluster ID mismatch' },
  invalidClientApiVersion: { code: code.invalidArgument, text: 'etcdserver: invalid client api version' },

  // Requests that did not end well
  requestTooLarge: { code: code.invalidArgument, text: 'etcdserver: request is too large' },
  tooManyRequests: { code: code.unknown, text: 'etcdserver: too many requests' },
  proposalDropped: { code: code.unknown, text: 'raft proposal dropped' },
  timeout: { code: code.unavailable, text: 'etcdserver: request timed out' },
  timeoutDueToLeaderFail: {
    code: code.unavailable,
    text: 'etcdserver: request timed out, possibly due to previous leader failure',
  },
  timeoutDueToConnectionLost: {
    code: code.unavailable,
    text: 'etcdserver: request timed out, possibly due to connection lost',
  },
  timeoutWaitAppliedIndex: {
    code: code.unavailable,
    text: 'etcdserver: request timed out, waiting for the applied index took too long',
  },
  requestCancelled: { code: code.unknown, text: 'etcdserver: request cancelled' },
  canceled: { code: code.canceled, text: 'etcdserver: request canceled' },
  deadlineExceeded: { code: code.deadlineExceeded, text: 'etcdserver: context deadline exceeded' },
  contextCanceled: { code: code.canceled, text: 'context canceled' },
  contextDeadlineExceeded: { code: code.deadlineExceeded, text: 'context deadline exceeded' },

  // Downgrade
  downgradeInProcess: {
    code: code.failedPrecondition,
    text: 'etcdserver: cluster has a downgrade job in progress',
  },
  noInflightDowngrade: { code: code.failedPrecondition, text: 'etcdserver: no inflight downgrade job' },
  invalidDowngradeTargetVersion: {
    code: code.invalidArgument,
    text: 'etcdserver: invalid downgrade target version',
  },
  wrongDowngradeVersionFormat: {
    code: code.invalidArgument,
    text: 'etcdserver: wrong downgrade target version format',
  },
  clusterVersionUnavailable: {
    code: code.unavailable,
    text: 'etcdserver: cluster version not found during downgrade',
  },
  unknownMethod: { code: code.unknown, text: 'etcdserver: unknown method' },

  // Authentication and permissions
  authNotEnabled: { code: code.failedPrecondition, text: 'etcdserver: authentication is not enabled' },
  authFailed: {
    code: code.invalidArgument,
    text: 'etcdserver: authentication failed, invalid user ID or password',
  },
  authOldRevision: { code: code.invalidArgument, text: 'etcdserver: revision of auth store is old' },
  invalidAuthToken: { code: code.unauthenticated, text: 'etcdserver: invalid auth token' },
  invalidAuthManagement: { code: code.invalidArgument, text: 'etcdserver: invalid auth management' },
  permissionDenied: { code: code.permissionDenied, text: 'etcdserver: permission denied' },
  permissionNotGiven: { code: code.invalidArgument, text: 'etcdserver: permission not given' },
  permissionNotGranted: {
    code: code.failedPrecondition,
    text: 'etcdserver: permission is not granted to the role',
  },
  rootUserNotExist: { code: code.failedPrecondition, text: 'etcdserver: root user does not exist' },
  rootRoleNotExist: { code: code.failedPrecondition, text: 'etcdserver: root user does not have root role' },
  userEmpty: { code: code.invalidArgument, text: 'etcdserver: user name is empty' },
  userNotFound: { code: code.failedPrecondition, text: 'etcdserver: user name not found' },
  userAlreadyExist: { code: code.failedPrecondition, text: 'etcdserver: user name already exists' },
  roleEmpty: { code: code.invalidArgument, text: 'etcdserver: role name is empty' },
  roleNotFound: { code: code.failedPrecondition, text: 'etcdserver: role name not found' },
  roleAlreadyExist: { code: code.failedPrecondition, text: 'etcdserver: role name already exists' },
  roleNotGranted: { code: code.failedPrecondition, text: 'etcdserver: role is not granted to the user' },

  // The same refusals as Defragment, Snapshot, Hash and HashKV give them, and one of Authenticate
  adminUserEmpty: { code: code.unknown, text: 'auth: user name is empty' },
  adminUserNotFound: { code: code.unknown, text: 'auth: user not found' },
  adminInvalidToken: { code: code.unknown, text: 'auth: invalid auth token' },
  adminPermissionDenied: { code: code.unknown, text: 'auth: permission denied' },
  passwordForNoPasswordUser: {
    code: code.unknown,
    text: 'auth: authentication failed, password was given for no password user',
  },

  // Lock and election
  sessionExpired: { code: code.unknown, text: 'mutex: session is expired' },
  leaderFieldMissing: { code: code.unknown, text: '"leader" field must be provided' },
  electionNoLeader: { code: code.unknown, text: 'election: no leader' },
  electionNotLeader: { code: code.unknown, text: 'election: not leader' },

  // Health
  unknownHealthService: { code: code.notFound, text: 'unknown service' },
} as const satisfies Record<string, ErrorRow>

/** Why a request failed: a row of `errorTable`. */
export type ErrorReason = keyof typeof errorTable

const reasonByText: ReadonlyMap<string, ErrorReason> = new Map(
  Object.entries(errorTable).map(([reason, row]) => [row.text, reason as ErrorReason]),
)

/** The reason whose status message is `text`, or undefined when etcd has no such error. */
export function errorReason(text: string): ErrorReason | undefined {
  return reasonByText.get(text)
}

/** An error that etcd's clients know. The message is etcd's text. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly reason: ErrorReason
  /** gRPC status code. */
  readonly code: number

  constructor(reason: ErrorReason, options?: ErrorOptions) {
    super(errorTable[reason].text, options)
    this.reason = reason
    this.code = errorTable[reason].code
  }
}
