/** A release, as `3.5.33`; of a cluster version only the first two parts count. */
export interface Version {
  readonly major: number
  readonly minor: number
  readonly patch: number
}

const FORM = /^(\d+)\.(\d+)\.(\d+)(?:-[^+]*)?(?:\+.*)?$/

/** Reads `X.Y.Z`, with or without the suffixes of pre-releases and builds; undefined for anything else. */
export function parseVersion(text: string): Version | undefined {
  const match = FORM.exec(text)
  if (match === null) return undefined
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) }
}

/** Reads a version that has been checked before. @throws Error */
export function knownVersion(text: string): Version {
  const version = parseVersion(text)
  if (version === undefined) throw new Error(`${text} is not a version`)
  return version
}

/** `X.Y.0`: the form of cluster versions. */
export function clusterVersionText(version: Version): string {
  return `${version.major}.${version.minor}.0`
}

/** Negative, zero or positive as `a` is older than, the same as, or newer than `b`, all three parts counted. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch
}

/** Like `compareVersions`, without the patch. */
export function compareMinors(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor
}

/** The only version that a cluster of `version` may go down to. */
export function downgradeTarget(version: Version): Version {
  return { major: version.major, minor: version.minor - 1, patch: 0 }
}
