// Package unixsocket has what every unix socket of podswitch needs, whatever passes through it: how long its path may be, what to do with
// the file that a dead process has left, and who is at the other end.
package unixsocket
