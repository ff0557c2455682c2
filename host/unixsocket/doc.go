// Package unixsocket makes listening unix sockets with a file, removes the files that ended processes have left, and returns the
// credentials of a peer.
package unixsocket
