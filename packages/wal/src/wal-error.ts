/**
 * What went wrong, for the caller to tell apart:
 * `damaged` - bytes that were certainly written are not what they were;
 * `missing` - a segment, a snapshot record or the entries before one are not there;
 * `conflict` - parts that do not belong together: metadata of two members, a snapshot of another term, a broken sequence;
 * `failed` - the disk refused a write or a sync: nothing more can be promised, and the log takes nothing more;
 * `misuse` - the caller broke the contract.
 */
export type WalErrorReason = 'damaged' | 'missing' | 'conflict' | 'failed' | 'misuse'

/** The log cannot be read, written or trusted. The text names the file, and the offset where there is one. */
export class WalError extends Error {
  override readonly name = 'WalError'
  readonly reason: WalErrorReason

  constructor(reason: WalErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
