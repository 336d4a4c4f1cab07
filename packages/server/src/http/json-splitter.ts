/**
 * Cuts a text that arrives in pieces into the JSON values that it consists of.
 *
 * It counts brackets and quotes only, and looks at each character once however small the pieces are. Whether a
 * value is JSON is for the parser to say, which gets it whole.
 */
export class JsonSplitter {
  /** The piece at hand, and where in it the next character is. */
  #piece = ''
  #at = 0
  /** Earlier pieces of the value that has begun. */
  #earlier: string[] = []
  #earlierLength = 0
  /** Where in `#piece` the value began or goes on; -1 between values. */
  #start = -1
  #depth = 0
  #inString = false
  #escaped = false

  /** Characters of the value that has begun and not ended. */
  get pendingLength(): number {
    return this.#start < 0 ? 0 : this.#earlierLength + this.#piece.length - this.#start
  }

  /** Adds a piece; `next` must have taken all values of the one before. */
  push(piece: string): void {
    if (this.#start >= 0) {
      this.#earlier.push(this.#piece.slice(this.#start))
      this.#earlierLength += this.#piece.length - this.#start
      this.#start = 0
    }
    this.#piece = piece
    this.#at = 0
  }

  /** @returns the next complete value, or undefined when another piece is needed */
  next(): string | undefined {
    const piece = this.#piece
    while (this.#at < piece.length) {
      const unit = piece.charCodeAt(this.#at)
      if (this.#inString) {
        this.#at++
        if (this.#escaped) this.#escaped = false
        else if (unit === 0x5c) this.#escaped = true
        else if (unit === 0x22) {
          this.#inString = false
          if (this.#depth === 0) return this.#take()
        }
        continue
      }
      const isSpace = unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09
      const isOpening = unit === 0x7b || unit === 0x5b
      if (this.#start < 0) {
        if (isSpace) {
          this.#at++
          continue
        }
        this.#start = this.#at
      } else if (this.#depth === 0 && (isSpace || isOpening || unit === 0x22)) {
        // A word or a number ends where something else begins.
        return this.#take()
      }
      this.#at++
      if (unit === 0x22) this.#inString = true
      else if (isOpening) this.#depth++
      else if (unit === 0x7d || unit === 0x5d) {
        if (this.#depth > 0) this.#depth--
        if (this.#depth === 0) return this.#take()
      }
    }
    return undefined
  }

  /** @returns at the end of the text, what is left: a word, a number or a value that was cut short */
  rest(): string | undefined {
    return this.#start < 0 ? undefined : this.#take()
  }

  #take(): string {
    const value = this.#earlier.join('') + this.#piece.slice(this.#start, this.#at)
    this.#earlier = []
    this.#earlierLength = 0
    this.#start = -1
    this.#depth = 0
    this.#inString = false
    this.#escaped = false
    return value
  }
}
