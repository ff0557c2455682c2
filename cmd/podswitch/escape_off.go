//go:build !escape

package main

// sandboxEntered runs after the switch has entered its sandbox. It does nothing outside of builds for tests.
func sandboxEntered() {}
