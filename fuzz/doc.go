// Package fuzz holds the fuzz targets over the frame path: any sequence of frames on all ports of a forwarder, with time passing
// between them and the address changing hands. The real forwarders have to agree with those of package oracle. The packages below
// have targets of their own for their parsers.
package fuzz
