package descriptor

import "syscall"

// Borrow calls f with the descriptor of a connection or a listener of package net, and returns what f returns. The descriptor stays
// open and in non-blocking mode during the call; f must not close it or keep it. Borrow returns the connection's own error, without
// calling f, if the connection is closed.
func Borrow[T any](c syscall.Conn, f func(fd int) (T, error)) (T, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		var none T
		return none, err
	}
	return BorrowRaw(raw, f)
}

// BorrowRaw is Borrow for a socket that net.ListenConfig.Control or net.Dialer.Control passes on before it is bound.
func BorrowRaw[T any](raw syscall.RawConn, f func(fd int) (T, error)) (result T, err error) {
	var failed error
	if err := raw.Control(func(fd uintptr) { result, failed = f(int(fd)) }); err != nil {
		return result, err
	}
	return result, failed
}
