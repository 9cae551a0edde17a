export { rbac } from './installation.ts';
