export const counterSchema = {
  name: 'counter',
  applicationId: 0x636f756e,
  migrations: ['CREATE TABLE numbers (value INTEGER NOT NULL CHECK (value >= 0), batch INTEGER NOT NULL)'],
}
