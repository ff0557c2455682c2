// Package fuzz contains the fuzz targets of the frame path: any sequence of frames at all ports of a forwarder, with time between the
// frames and changes of the holder. The forwarders of vswitch must agree with those of package oracle. Parsers have targets in their
// own packages.
package fuzz
