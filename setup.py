"""Builds the native part in place; everything else about the package is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["lab/native/build.py:ffi"])
