# cmake -D SET=FILE -D OUT=FILE -P embed.cmake: a FileDescriptorSet as C.
file(READ ${SET} hex HEX)
string(REGEX REPLACE "(........................)" "\\1\n    " hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"descriptors.h\"

const unsigned char proto_descriptors[] = {
    ${bytes}};
const size_t proto_descriptors_len = sizeof proto_descriptors;
")
