/** gRPC status codes (https://grpc.io/docs/guides/status-codes/). */
export const Code = {
  Ok: 0,
  Cancelled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const
export type Code = (typeof Code)[keyof typeof Code]

/** How a call ended. `code` may be any number that the peer sent. */
export interface Status {
  readonly code: number
  readonly message: string
  /** Encoded `google.rpc.Status` of the `grpc-status-details-bin` header, when there is one. */
  readonly details?: Uint8Array
}
