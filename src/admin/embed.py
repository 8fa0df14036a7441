"""Writes a file as a C array: embed.py INPUT OUTPUT HEADER NAME."""
import sys

source, target, header, name = sys.argv[1:]
with open(source, "rb") as file:
    content = file.read()
with open(target, "w") as out:
    out.write(f'#include "{header}"\n\nconst unsigned char {name}[] = {{\n')
    for at in range(0, len(content), 16):
        out.write("    " + " ".join(f"{byte}," for byte in content[at:at + 16]) + "\n")
    out.write(f"}};\nconst size_t {name}_size = sizeof({name});\n")
