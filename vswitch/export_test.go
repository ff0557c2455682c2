package vswitch

// NewTickOut is newTickOut for the tests of package vswitch_test.
var NewTickOut = newTickOut
