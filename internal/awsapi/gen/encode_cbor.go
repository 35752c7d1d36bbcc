package main

// emitCBOR writes how responses become CBOR.
func (g *generator) emitCBOR() {
	for _, name := range g.structures(g.outputs) {
		g.pf("// AppendCBOR appends the structure as CBOR.\nfunc (v *%s) AppendCBOR(dst []byte) []byte {\ndst = awsapi.AppendCBORStructure(dst)\n", name)
		g.encodeMembers(name, "awsapi.AppendCBORText", g.encodeCBOR)
		g.pf("return awsapi.AppendCBOREnd(dst)\n}\n\n")
	}
}

// cborAppends names the functions that append scalars and blobs.
var cborAppends = map[string]string{"string": "Text", "integer": "Int", "long": "Int", "timestamp": "Time",
	"double": "Float", "boolean": "Bool", "blob": "Bytes"}

// encodeCBOR writes the statements that append a value.
func (g *generator) encodeCBOR(shape, expr string, depth int) {
	s := g.shape(shape)
	i := string(rune('i' + depth))
	switch s.Type {
	case "structure":
		g.pf("dst = %s.AppendCBOR(dst)\n", expr)
	case "list":
		g.pf("dst = awsapi.AppendCBORArray(dst, len(%s))\nfor %s := range %s {\n", expr, i, expr)
		g.encodeCBOR(s.Member.Shape, expr+"["+i+"]", depth+1)
		g.pf("}\n")
	case "map":
		g.pf("dst = awsapi.AppendCBORMap(dst, len(%s))\nfor %s := range %s {\n", expr, i, expr)
		g.pf("dst = awsapi.AppendCBORText(dst, %s[%s].Key)\n", expr, i)
		g.encodeCBOR(s.Value.Shape, expr+"["+i+"].Val", depth+1)
		g.pf("}\n")
	default:
		g.pf("dst = awsapi.AppendCBOR%s(dst, %s)\n", cborAppends[s.Type], expr)
	}
}
