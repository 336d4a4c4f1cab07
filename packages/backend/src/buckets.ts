/** The buckets of every backend, in the byte order of their names. */
export const bucketNames = [
  'alarm',
  'auth',
  'authRoles',
  'authUsers',
  'cluster',
  'key',
  'lease',
  'members',
  'members_removed',
  'meta',
] as const

/** Name of a bucket. */
export type Bucket = (typeof bucketNames)[number]

/** Place of each bucket in `bucketNames`. */
export const bucketIndex = Object.fromEntries(bucketNames.map((name, index) => [name, index])) as Readonly<
  Record<Bucket, number>
>
