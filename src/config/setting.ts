import { z } from 'zod'

/** What is known about a setting besides its schema; stored as the schema's metadata. */
export interface SettingMeta {
  /** The environment variable that overrides the file. */
  readonly env: string
  /**
   * Its place in the file: `<worker>.<key>` is a key in that worker's `config`. If left out, the place is `cqrs.<path
   * in Config>`.
   */
  readonly at?: string
  readonly description: string
  /** What is allowed, in words that can follow "Allowed: ". */
  readonly allowed: string
}

/** A setting found in a schema. */
export interface Setting extends SettingMeta {
  /** Its path in Config, e.g. `commands.conflictRetries`. */
  readonly path: string
  readonly at: string
  readonly schema: z.ZodType
}

interface Options<Default> {
  env: string
  default: Default
  at?: string
}

/** A whole number from `min` to `max`. */
export function wholeNumber(
  description: string,
  { min, max, ...options }: Options<number> & { min: number; max: number },
) {
  const allowed = `a whole number from ${min.toLocaleString('en')} to ${max.toLocaleString('en')}`
  return describe(z.int().min(min).max(max).default(options.default), { ...options, description, allowed })
}

/** A time in milliseconds, at most one day. */
export function milliseconds(description: string, options: Options<number> & { min?: number }) {
  return wholeNumber(description, { min: 1, max: 86_400_000, ...options })
}

/** A TCP port; 0 lets the system choose. */
export function port(description: string, options: Options<number>) {
  return wholeNumber(description, { min: 0, max: 65_535, ...options })
}

/** `true` or `false`. */
export function flag(description: string, options: Options<boolean>) {
  return describe(z.boolean().default(options.default), {
    ...options,
    description,
    allowed: 'true or false',
  })
}

/** A text that is not empty. */
export function text(description: string, options: Options<string> & { allowed?: string }) {
  const { allowed = 'a text that is not empty', ...rest } = options
  return describe(z.string().min(1).default(options.default), { ...rest, description, allowed })
}

/** A name that can be a part of ids and paths, or `none`. */
export function name(description: string, options: Options<string>) {
  const allowed = 'up to 40 of a-z, 0-9 and "-", beginning with a letter, or "none"'
  return describe(
    z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,39}$/)
      .default(options.default),
    { ...options, description, allowed },
  )
}

/** An address that starts with http:// or https://, or `none`. */
export function httpAddress(description: string, options: Options<string>) {
  const isOne = (value: string) => value === 'none' || /^https?:$/.test(URL.parse(value)?.protocol ?? '')
  const allowed = 'an address like http://host:4318, or "none"'
  return describe(z.string().refine(isOne).default(options.default), { ...options, description, allowed })
}

/** One of some words. */
export function choice<const Values extends readonly [string, ...string[]]>(
  description: string,
  { values, ...options }: Options<Values[number]> & { values: Values },
) {
  return describe(
    z
      .enum(values)
      .optional()
      .transform((value): Values[number] => value ?? options.default),
    { ...options, description, allowed: values.join(', ') },
  )
}

function describe<Schema extends z.ZodType>(
  schema: Schema,
  { env, at, description, allowed }: SettingMeta & { default: unknown },
): Schema {
  return schema.meta({ env, at, description, allowed }) as Schema
}

/** Every setting in an object schema and the objects inside it. */
export function settingsOf(schema: z.ZodObject, prefix = ''): Setting[] {
  return Object.entries(schema.shape).flatMap(([key, field]) => {
    const path = `${prefix}${key}`
    if (field instanceof z.ZodObject) return settingsOf(field, `${path}.`)
    const meta = (field as z.ZodType).meta() as unknown as SettingMeta | undefined
    return meta?.env ? [{ ...meta, path, at: meta.at ?? `cqrs.${path}`, schema: field as z.ZodType }] : []
  })
}
