// Databases that etcd itself wrote, as gzip in base64, for the tests of this package and of those above it.

export interface EtcdDatabase {
  readonly version: string
  readonly packed: string
  /** In all buckets. */
  readonly rows: number
  /** Main of the last row of the bucket `key`. */
  readonly newest: number
}

/** Of a member of 3.4.23: puts, deletes, a txn, leases, a compaction at 4, users and roles. */
const DATABASE_3_4 =
  'H4sIAAAAAAAC/+2aT2zbVBzHbedP3TR/XhJNMpMQlVchgarUz0mTNuoBaTAE6yTUqUUDts5JHCVr/nSxk7ZDSBMHQFy4AFfQTpxggLhwQL1x4cYF' +
  'duHEYYfedwM7/jl5flKbTqu6avt9qhf76+/zz7HjvOr7HEHwCMPy4EH8QHJXiKclIch/QBR0BpZffZzIvvDFzA0BQRAEQRAEQRAEQZAzhzgh/4cm' +
  '5P8sLM/1/vpT/T39CK8ogiAIgiAIgiAIgpw9pNEyNpoP+NZpEafNgv4F5gdeB33gtGmnvQb6ZdHTd0F/47xMOcuLoP8WvXmEUsjToYhXvwH+zYjX' +
  '/1fQ6aggpJjja1Hv+D84zWgZvfakkzH6duPwPuJo3Z3jiDtNhn3WzEHTanY7YEeG27ot0zpuMfcNJJ3WozGpRzOyLGVE47xYcQutW2bv2IXc0111' +
  'C3W7dizsvmZW5nRjjmpzl+qFDs1dW157V7+8W9SvGKtv7Gzkdvbe7twySsVGd31r7Wp9wervvLdUMRda2uDqlb3b54c1VKHa6lu22Tvu20jCnQC7' +
  'bThn4FyefK6Q07bMvcOrpMdVnIKuUkC/AjoJeonTb3J6Q/R+Y+LPT30AfgL0LU7vcvoTTn/J6Xucvs/p3zj9B6cfcO/3Iacfcdq9oJv+WkzaoiSi' +
  'RGbFV6UB1T6/f/f7f/e/+/EC2FG2o06iSnTYUYeNU6ydJ1PK1NDO87bo2IWRXeBtyXarg5CZmhYlsiI7O4kD2DbNujqZVqZZN8a6eRJTYqw7w7oF' +
  'MqPMsG6cdRdJXImzboJ1iyShJFg3ybolklSSrJti3SWSUlKsS1h3mRCFsG567IYsqpG0kmbtTMCmJKNkWDsbsHWSVbJDu2Ualnn4d2f8i6tZGJri' +
  'oOcYfaFyL7q+r8jyZ/5NQ1ZgW0we3Uik1jbblccYd9x2x2nLWqlGa4UKrZcWjXxR/1Bt1tQy1QqULlKN6rqWX9KoVtL1eXXbNHvra6uWWn5fbdj2' +
  'dnlhgeqlnOb80bJOqaar1+fVjtE21bJaM+tGv2Wr82q11TQ79pE7UvX6R3ACmz2z3R2YtUlDf9u0jcP7jGezNThZ2R+HBG+c8Ueuy4I3t+3qardj' +
  'NZ3xr2NvNjs1cxe6vFhvdppWw6xd7La3jart/PcAJzz65K2q4/dbR/ZBEARBEAQ5VUJPMf/79Va4/H8QCeb/OOZ/zP+Y/zH/Pxf5P/gN5PI+ZnvM' +
  '9giCIAiCIE9E+Anyv+9HIf/fAb3H5f+fIf/HRU//JAWf/6dCwfy/Hwrm/39CTyf/S8fI/+MDPna+v3SC+f7Ukn1ktP6OEEz2TSGYdHc5/SmnvxaC' +
  'yf6sJmN8XPtsRLokRjoEQRAEQRDkuSdygvnf1y9B/vd1EfK/r98Sg/VvcP37YjD/u89sw6BPM/+LJ5n/PSamdI8jI7jHhFjqx6sJcTLQ7WRCG4Ig' +
  'CIIgCIIgCHIW+R985R57AGAAAA=='

/** Of a member of 3.5.9: a put, a range delete, a compaction at 3, users, auth on and off. */
const DATABASE_3_5 =
  'H4sIAAAAAAAC/+2ay28bRRzH12vHSfMAt5GgVEWqlnBBqe31M7ZAQrhJldSOwMRpyyvdeMfJ0n2Y3bGbtvRQBBI3hHhJXKi4gAQSXBBHOHFB4siB' +
  'K63UHvIHcILZ7NhZL3WdQAOJ+v1Ys7u/3fF4dmb28PmtBcEjwvebv41viu5BzItFoZc/OVEeH+H7j96amHzsvbHXBAAAAAAAAAAAAOw7QgP8PzzA' +
  '/w/z/dno93cyteEcRhQAAAAAAAAAANh/iN39aDcfcIOVIVZO8Pg7nh+4wONDbHPId13i8aed+mwzzPbXeXxS9PIIn/H4B9Frf5bHf4he/fd5fJ1V' +
  'ftjX/o2w9/uPskDRFdsYdDNKi673r7P9lwb3B8aE7STIcVbGWRnhbcyayqpO1K3jKmlrjmaZvGp065ylE2cnnak5xHZ22iOR98DlGB/6Mitmc1Q0' +
  'm5I4ErIti45G3O2Rp6dSypScnJqxK3ainKvMl7N0bil7sXF+Sa20tEKpVl0rVVtvXK4U6PxL6QpdPl22cnO5KxVZ0Y5ttSEJdb3lUGLvtIMP8fXh' +
  '8oTgzf2TrPBmltm9soFKx7PxpGpdMtdsRSVXJarYa4SebHtXpaIkTUvEG2Cp2FB0h1y7SC7378N2JiopeHmncR4/E4gXBO9/Kb7clbjSORoNKTHx' +
  'qHgi9FRolZ8K+y7WY+GjYfeiyk9Fuhcp+6pOFIf072OoexzjkzjByuJPn0fP//zrIyMff/3NL7d+/PL3xdjtYYMYq/dcFL1tueUFVuSZZH1GyaTS' +
  '2UwhQ+q5q5LGhk/Op1MFWS7k09lCPpUr5JOpaalJiF2rlh2p+LK0TmmzmEjIqXw8yT5yMSXLmZT06rRkKgZhk6GShtLSqXSN92vFJobVJuqg1W0Q' +
  'qvSvM9Q9fp6vkzSP3/SNkcvbfM46+cRPWJn0xV/xB8GtX7fMxotUoWxRtS224Nw7vMsIsJtjz561wuasTTpLjH3X0dgqNemKZqpkgzf/eEMzNWed' +
  'qCXLaCp1yp72vy0Op86ut/R71mG9MQIjBAAAAAAAwP4hfID8/6YA/4f/w/8Pjv9HusfPBvxfD/g/Dfj+u3vr+8ch8wAAAAAA4EEksgv/P8XjTaHX' +
  '/6Pc/z/k8QcB/x/j/l/h8ZmA/78T8P+JgP9Pc///9v74f69Y+X0/4Pjh/9bx5wY5fnLpuUT89cRc4nT11IKxLm+Ys+cy5Iy5rLWvzFxKVIyNs0q+' +
  'pJ6LO/M1Y8Gk1fmsXTogdt87KX6b72vvcPFduXhv/sTv4q8EXFzdW/c+DK8GAAAAAADg/2FoF/5/Qfh37/87/m8E/P+LgP8nAv6/eH/9f9fv/0N3' +
  'yQ1E9tn7/3+UGzhQ7/+RIXhgMgSTyBAAAAAAAACwF/wFqPw4UABgAAA='

export const etcdDatabases: readonly EtcdDatabase[] = [
  { version: '3.4.23', packed: DATABASE_3_4, rows: 26, newest: 19 },
  { version: '3.5.9', packed: DATABASE_3_5, rows: 16, newest: 4 },
]
