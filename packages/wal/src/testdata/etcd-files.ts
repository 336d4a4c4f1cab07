/**
 * Files that real etcd wrote (gzip, base64), for tests.
 */
import { gunzipSync } from 'node:zlib'

/** The first 1896 bytes of a segment of a single 3.4.23 member: 37 records, the entries 1 to 17 each followed by its state. */
export const wal34 = unpack(
  'H4sIAAAAAAAC/33Vf2gTZxgH8Pcul/TtNUnPg0J8mbi9/tpKaO4ucdXgX+pAUIZUhYEIS0yKRduUeLqhCFlJW6utWlem+INNi1Yt' +
    '27QD/5hl1P2wcwUZG3ayzTk7yzam+Edxru0Ye983b3OXO2sKyeXu+vk+z5P3TSTAHnkoKexgfuH9O1BQvrv1NF+GquDYjdHpKxeH' +
    'PzsiKIO9k8cmTnXnVoFg4b4W6FWmBn7OBZAEARXMGU9Ufr3+xQa0nUBCSMBb6eWQReG6vbghheO6FtP1pbqmG4YWXabpWq1hhHFz' +
    'Op3dVLduJ45vxttMszkeiehGbY1G/vS4oeuagbeEcVOiMY3jOJWuT+zaYeJ9NLjQBQDQowz8NN4JkY8UAEJC8byo3BkZ+y9AzgNF' +
    'DIlzC6fbyf0P89f+LEOV5A6rzJDI/+/9mbmIypf9x6ch6hEY4MEHBdhyOffR+NCFK72C6lm/aSNaHNEijenGZDq7M7Jcq03pqVhS' +
    'r69dmoi+akQSppltSO4y06S7vc4ewnjrjoZ0k/nc5nW8Zd/LwADLwBqwHrwB3gTbQDN4G+QEAGz9tI8OTvqc/Xh4P+usz+npXxPn' +
    'Amgla0fCcZh3dCOTbnaTVhoyTdgbrYnVaLOFg5L8b+6fuV7uzJd4ftjKv9P323k/wizfixGWZU99JqN6konsWV8FbC2W4/APdHx/' +
    'T3T6Xrd/dfLCjwHu+0r8PdRvK/FD1vrJ3Rqvc/K+JdY6+Pb08N8SmsfcMlxV7WUuJdst0lbv9NTQVdc8ynhezcx+EpXW6U9uB9BC' +
    '5kL8wko/XKHs5+ICynfYKrb5/X/83iU7fej2277+tM/D/XLmp5QDdv/gs/2Oy0dHg06/nPsxa97D4z8M+lE182WMsSqL23VV3K2H' +
    'SlI6Z/tcH91+8I/fmSPznOrCSxu5evPfG2eD6EWWU4FDGJIcg+QYVO8q0Uv8myfPnXft8wruv27N6czJsR4fWs18P15hhGVZ8SCS' +
    'EScZqqzSvCjJi/LjGDmOqT4k0TpoDYeePcep4x987Fq3fp6/0Jrjh4cfnAggxPIDWI2LUKLq4dnm9viXuznB6Qa4Gy28tJKrDy8+' +
    'aYfoFeYG8UvUPFI0x1YrspTNZEzVR5+b30Ku+XXeGznlWgf89wDY9kdv1+fdFXx/VOIqmtNdzGlZS8aU1e1uz9B716DTreSuZn1/' +
    '778/EUNLGKvg+ZQ9WmRPrA1SVoVQVIUEEpI2/9LpgX7X/pj5XYhYdecv3X0C0SIWMAfPowHvWnW/5ufzYc/2+gdG8l+51tUc7v8P' +
    'VqZRKGgHAAA=',
)

/** The first 3144 bytes of a segment of a single 3.5.9 member, entries 1 to 29. */
export const wal35 = unpack(
  'H4sIAAAAAAAC/42WCVATVxjHd5MQNoHAGkXDCtP6elnrkAMQgjN1hARsDJEjCYGOM01IFCpHCkFQ64xQgQJVUetRUKqoSFVGpKMt' +
    'ImqRIrSOrUfLtOKoVSiteCIqVttuNscuL+iYzGTI283/9/9/73vfwkGo12qMg1N/vOL4XoyheG3To6N8IgDr2r5n367u+jIRfmXT' +
    'cNv+Tzq721HEz3FfCeaF7+y9uZ9NcDDErpDvWC/FWHhpZ/NVAZFJKqEiFBjt10VuLZC4AmSaQZQ0IlQml0rlEaHh8gjZLHmERDYT' +
    'WC2WPF2SOh9EvQ8ybDZrlFgslUWESMi3NEomlYbJwMKZIMeYbQFRwGxZZCzIsoGVFNiRAkEwNl7636Z2HsEl+YgIda+z8OEnDyv9' +
    'yXUEZ4lYIvr+c92j3/sSfuQdbpciVp0rJwu/3Hv/oT+xEaV+yAaVKFZy4ODZ/pON1zVCdoJOS7wploizLdkmS16+WBopSY80hslC' +
    'w8PkYZb0WWKjzZaXaSqwWchUK2DvM0F6VqYlx/bC0FKwcOV0RIZEIvOQBMSAfIBkIFakCFmFkgYZORqPjgxxoBzs+fS+PL48UCwg' +
    '5lIxOECOrR6bgk+mWEpGyMzNAV6hIeEhkudCx3KPV+wZhuvHiXdc/oRcrf27q4tNxFBcLzAbKxvL5Yql4kW5uYBtMuY5iY97qnsq' +
    'mnaNiDzJDG5/WVWpP8T1UtLcu2c++41HzKa4XBCKlbu5nORUTQyBAGSchNu+21ZVZmd78Fq7m7ejEI/L4JU86jwncPK8Sd6nL8Ub' +
    'Oj40Wj4ub9/aLbsxiOfN4P16p+EvzMnDSF7FS/FG/l0zWDEur7ujv48H8bBox+UycrW35+sjKBFJ8XhAglXRvIQFyVqCQ27kRwCV' +
    'vqhtmLzzAw0b+BCPp3DNJRZ+6ezJNl8iiuLxgQxbQ/MS45RawtvROLJxYqJuIoO3d7D6GBfi8WPo87H11IVtXoSc4vkAKbbOzeMq' +
    'lGqlVulMiExHGTj0ueei72HnAx+I5/MOzVsz9OcJDjGN4vmCwHouH1vvQrYk8jBUSB7DsBAJrFtbd+8A3Ie+gN6n07fOXMQIEaUr' +
    'ALhddyOtO84+FA/shesieMv1PGDh5w9+M8Ahgik9PxAAuHzUKERNdt3PXbpMvZ8Obfwdzu0XQs/TZ23XW1jE65SePwiKFmCD3vhm' +
    'l5Jddotblql7+nLPEdin/8d0v7Tc6DrmT+RRujj40C601SX0hyKNz8nLzbWRpyJBpVBlqBTKQpUiWpeYGVlgzJTHqSXm5CSl1WZU' +
    'xIaZluhTNXF6tSkrzWrOyQ0zL5NrTIYMQ6rWrEiLXVyQLsnSm3TWAnOsSqUxqBRQPb+tbLkI9zU+g96fgV+afuYRr1I+JwCR3ecX' +
    'tE+Mz8qxEizMs5+qO/r3wfNgAqOu5zqPtWLOugpBkF23xqVbovR15BdSn2N0T52ouAT3k5DRT09H+hvYzn6a6OinWpdux7ue/fTV' +
    'g+Lb8D5NjKL1Hl0rP+hHSCi9SWC6XW+7e/fniJz7hC9IVsXkp9mKsuYnzzWqdcs9OB3D+5/6QZxJYrpvnwz2XOARb1CcABBs79t0' +
    'IWqu5wqxOnqU2GEiDlO391n7IXj/Ahj+RxvvV/k4/U92+N8xjv+UxXHLs5PV85amxuQZCuMKPfyXbbh9RgBxJpfQnLpVV9cKiCKK' +
    'MwVY7b53wr6fKAxOHqOrM5ZpDe8t1SrSNMm6QqlZmabTpNiyU/RJS7QGvXWBTqPXZZsVuhx9kUUnCTcrs4zxEqlEv8Qcb1qeFqfJ' +
    'sWriU2KtHn6/vLu+Cf7/YgqjLgOtN1Z7OesictRl1zh1UczPLShSp6ujc3TG7PS4uR6cq9c2tMLPddHbjsvl5GpzTX2C8/gE2o+P' +
    'ENsNlcWrZg7i2ZdHh5rvwX0eOI3WbWob3cwiplDCBPBPQuwJ9tCjCNYrudM34A3pEYy5efhi1W1f59ycCgJmMOZmw3hzs33nlR+8' +
    'IL2pr9HPix3/rLvJIQIpvSAwIYqFse1ae8c4ZObdVN0F1zGIkXfkVl8l25k32JW38fl5D7f+WAP7C/4fpJCKe0gMAAA=',
)

/** `0000000000000002-0000000000000015.snap` of the member of `wal34`: the whole v2 store. */
export const snap34 = unpack(
  'H4sIAAAAAAAC/+1YPW/TQBgGplIJCRUhMd/EYOI7pxDhrYRWRSoSNKVI1B0u9hti1V86v04bovwANv4GIxIzEgsszGwsbPwGFs7n' +
    'JrHjIBrabpdYj3T3fj3v3XvLs/Lr7ecf19e+tVY/tkZkN46R2CPyjGOf2MQkBmkL4Ajek8iDE2JTgzyNPb/nl3c2TxJfwJ4fgoyh' +
    'lLJ76tuj1FbfK5lmnwdZbs4z9v3AExDlhWi5Gr30ciGEXRBppag52ZwvzmrF2bmKP6Qtj3nrXdZr3efNB9ZCFmbN67JpcUThdzOE' +
    '9GyEzFLAPDerxs1ajtvIIREPwSG2Qzzo8SxAhxgOcQMfInyxu5NK04FD+oiJbZrMajWo/DPbYowyhxyOK91FWRCMDSJ4DzeWbXMu' +
    '6MKvQbaaAIh/9GQt7in/GWQgiftxVG1osjlPuFkj3FyOcLOx3qCLqBiElSmwy37GRfMvObp9ENtZNy++OZDzse2nGIthvn6eQR55' +
    'apB3fiAn3UV1WsRV7GTSKPaU0xEMl52GwX9dY1gbGbc6VbKzEtEUcCmW/C8Mz/+mwtqzrhK3zkR8NpuDuaEKa6NZzd+U+fNx06BB' +
    'gwYNGjRo0KBBgwYNGjRo0KBBw8XCoUE6/htQqtyWiCNU+u0j7h6prTZPuOvjkNiMUjqWzsgFzhTOHZ5iScUj7UwIiHCm9El/VKr8' +
    'a8C0k7kupKkqka+3uB+oNGnZaBXrwig9PQgAoRxb7EwdssTjVYdiZ+pQyI1Th6kyO3OIw4QL2Ii8zjFPypmqlgUBj2vs5m3TIFCq' +
    'eDvOTk/5uFC586jZ0e1PdH9rvHZr9cbKzy/ff394//XTu6t3r9y8fefaH1n1tDDVGwAA',
)

/** A `.snap` file of term 1, index 1, one member, that 3.4.23 and 3.5.9 accept at their start. */
export const snapMinimal = unpack(
  'H4sIAAAAAAAC/+NoXdS+jlXoFDPXZuZqpaD8/BIlK4VqpYDEkgwgQ0lfSUdByTkjMyelKDUPLGOAKm+AoSA3NTcptagYTZk+TBhd' +
    'uWlyqmFaWpppWnJaWlKqpSUOffoY6tANKkpMK3EsKSnKTCotSS0m1hh9NG1AU8MSc0pTQdqqY5QKUlOLQoN8imOUrKJjlDJKSgqs' +
    '9PUNjcz1DIDQ0MrI0NDcKEYptlapFgSAmsuAlmTm56FbDxNGNt5Yz0TPQAmizRBVgyG676CmO5cWAQVKPPNSUiuAwka1QkJcPBwz' +
    '//57fv/f/w8xGgwCjBKMAE4oaeTTAQAA',
)

function unpack(text: string): Uint8Array {
  return new Uint8Array(gunzipSync(Buffer.from(text, 'base64')))
}
