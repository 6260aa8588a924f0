/** How much of what is stored is read at once, in bytes: effects are read until they are that much, and no more than one beyond. */
export const PAGE_BYTES = 8 * 1024 * 1024
