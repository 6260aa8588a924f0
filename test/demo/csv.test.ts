import { expect, test } from 'vitest'
import { parseCsv } from './csv.ts'

test('fields in quotes hold commas, line breaks and doubled quotes', () => {
  expect(parseCsv('id,name\n1,"Shelving, 72""H"\n2,"two\nlines"\n')).toEqual([
    { id: '1', name: 'Shelving, 72"H' },
    { id: '2', name: 'two\nlines' },
  ])
})

test('empty fields, a byte order mark, CRLF and a missing last line break are fine', () => {
  expect(parseCsv('\uFEFFa,b,c\r\n,"",x\r\n1,2,')).toEqual([
    { a: '', b: '', c: 'x' },
    { a: '1', b: '2', c: '' },
  ])
})

test.each([
  ['too few fields', 'a,b\n1,2\n3\n', 'Record 2 has 1 fields'],
  ['too many fields', 'a,b\n1,2,3\n', 'Record 1 has 3 fields'],
  ['an open quote', 'a,b\n1,"2\n', 'Record 1 has a quote'],
  ['a quote within a bare field', 'a,b\n1,2"3\n', 'Record 1 has a quote'],
])('%s is refused by the number of its record', (_, text, message) => {
  expect(() => parseCsv(text)).toThrow(message)
})
